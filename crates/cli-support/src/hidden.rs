use std::fmt;

/// An argument that may hold a secret, such as a token or a URL with a password. Any text parses,
/// since the errors of the command line repeat the argument; `Debug` shows none of it.
#[derive(Clone)]
pub struct Hidden(String);

impl Hidden {
    /// The text as it was typed, secrets included.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Hidden> for String {
    fn from(hidden: Hidden) -> Self {
        hidden.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(...)")
    }
}
