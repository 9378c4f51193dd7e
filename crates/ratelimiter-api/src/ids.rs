use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a node, unique in its cluster. Cheap to clone: a history holds one per operation.
///
/// One that is read has no control characters, as a [`Key`](crate::Key) has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct NodeId(Arc<str>);

/// The reason why a text is no name of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node holds the character {0:?}: control characters are not allowed")]
pub struct NodeIdError(char);

impl TryFrom<String> for NodeId {
    type Error = NodeIdError;

    fn try_from(text: String) -> Result<Self, NodeIdError> {
        match text.chars().find(|c| c.is_control()) {
            Some(c) => Err(NodeIdError(c)),
            None => Ok(Self(text.into())),
        }
    }
}

impl NodeId {
    /// Names a node.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// Whether a text can be the id of a node of this project, or of its process: 1 to 64 letters,
    /// digits, dots, dashes or underscores. The nodes of other limiters, in histories, have any
    /// name.
    pub fn is_id(text: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        (1..=64).contains(&text.len()) && text.chars().all(plain)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for NodeId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_without_control_characters_is_read() {
        let read = |json: &str| serde_json::from_str::<NodeId>(json).map(|id| id.to_string());
        assert_eq!(read(r#""[::1]:8001 é""#).unwrap(), "[::1]:8001 é");
        for odd in [r#""a\nb""#, r#""a\u001b[31m""#, "\"\u{9b}2J\""] {
            assert!(
                read(odd).unwrap_err().to_string().contains("control"),
                "{odd}"
            );
        }
    }
}
