use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// `GET /nodes`: every node that has a heartbeat in the store, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeList {
    /// The nodes.
    pub nodes: Vec<NodeEntry>,
}

/// One node by its heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Its name.
    pub id: NodeId,
    /// Listen address, `host:port`.
    pub address: String,
    /// Address of another process with the same id: one of the two is misconfigured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also_at: Option<String>,
    /// Age of its heartbeat, in three steps.
    pub state: NodeState,
}

/// A node's state by the age of its heartbeat.
///
/// The age is measured up to the last instant at which the answering node knows that the store took
/// a write. While the store takes none, no heartbeat can arrive, and a missing one is no evidence
/// about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeState {
    /// Its heartbeat is fresh.
    Up,
    /// More than 5 heartbeats are missing.
    Suspect,
    /// More than 15 heartbeats are missing.
    Down,
}

impl NodeState {
    /// The state of a node whose heartbeat is this old and should come once an interval.
    pub fn of_heartbeat(age: Duration, interval: Duration) -> Self {
        match age {
            age if age > 15 * interval => Self::Down,
            age if age > 5 * interval => Self::Suspect,
            _ => Self::Up,
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Up => "Up",
            Self::Suspect => "Suspect",
            Self::Down => "Down",
        })
    }
}
