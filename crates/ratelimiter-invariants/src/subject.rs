use std::fmt;

use ratelimiter_api::{Key, NodeId};
use serde::Serialize;

/// The node, key or store concerned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Subject {
    /// One node.
    Node(NodeId),
    /// One key, over all nodes.
    Key(Key),
    /// The store.
    Store,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "{node}"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Store => f.write_str("store"),
        }
    }
}
