use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 256;

/// The unit of counting: one client, one tenant, one route. 1 to [`MAX_KEY_BYTES`] bytes, no
/// control characters, no braces (a key is the hash tag of its store entries).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// The reason why a text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key has no characters.
    #[error("key is empty: give 1 to {MAX_KEY_BYTES} bytes")]
    Empty,
    /// The key is longer than [`MAX_KEY_BYTES`].
    #[error("key has {0} bytes: at most {MAX_KEY_BYTES} are allowed")]
    TooLong(usize),
    /// The key holds a control character or a brace.
    #[error("key holds the character {0:?}: control characters and braces are not allowed")]
    Forbidden(char),
}

impl Key {
    /// Checks a text and makes it a key.
    ///
    /// # Errors
    /// When it is empty, too long, or holds a control character or a brace.
    pub fn new(text: impl AsRef<str>) -> Result<Self, KeyError> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong(text.len()));
        }
        match text
            .chars()
            .find(|c| c.is_control() || matches!(c, '{' | '}'))
        {
            Some(c) => Err(KeyError::Forbidden(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_printable_and_not_empty() {
        assert_eq!(Key::new(""), Err(KeyError::Empty));
        assert_eq!(Key::new("x".repeat(300)), Err(KeyError::TooLong(300)));
        assert_eq!(Key::new("a\nb"), Err(KeyError::Forbidden('\n')));
        assert_eq!(Key::new("a{b}"), Err(KeyError::Forbidden('{')));
        assert_eq!(Key::new("клиент-1").unwrap().as_str(), "клиент-1");
    }

    #[test]
    fn json_is_checked_too() {
        assert!(serde_json::from_str::<Key>("\"\"").is_err());
        assert_eq!(serde_json::from_str::<Key>("\"k\"").unwrap().as_str(), "k");
    }
}
