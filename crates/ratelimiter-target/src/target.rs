use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ratelimiter_api::{Key, NodeId, choice};

use crate::{CheckAnswer, Cork, OutOfReach};

/// One question to a limiter: may `cost` more happen to `key` now?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The key.
    pub key: Key,
    /// Admissions asked for, at least 1.
    pub cost: u32,
    /// Time for a complete answer. A later one is [`Unknown`](ratelimiter_api::Outcome::Unknown).
    pub deadline: Duration,
    /// Other subjects of the check, such as its user and its route.
    pub labels: BTreeMap<String, String>,
    /// The call that follows where the check is allowed, if the limiter learns of its end.
    pub call: Option<Call>,
}

/// A call that a check permits. It holds a place, or uses a cost that is known afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Time from the answer to the end.
    pub lasts: Duration,
    /// How it ends.
    pub end: CallEnd,
    /// The cost that it used.
    pub used: u32,
}

choice! {
    /// The end of a call.
    CallEnd, "end" {
        /// It was served.
        Done = "done",
        /// It failed, and used nothing.
        Failed = "failed",
        /// Its caller left in the middle of it. Its outcome is Unknown, and it may use its cost or
        /// hold its place for as long as the limiter states.
        Left = "left",
    }
}

impl Check {
    /// A check without labels, which no call follows.
    pub fn new(key: Key, cost: u32, deadline: Duration) -> Self {
        Self {
            key,
            cost,
            deadline,
            labels: BTreeMap::new(),
            call: None,
        }
    }
}

/// A limiter under test.
pub trait Target: Send + Sync {
    /// Its nodes, at least one. Checks are spread over them round-robin.
    fn nodes(&self) -> &[NodeId];

    /// Opens a connection to node `node`, an index into [`nodes`](Self::nodes).
    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>>;

    /// The target in a few words, without secrets.
    fn describe(&self) -> String;

    /// Whether requests of different keys differ.
    fn has_key(&self) -> bool {
        true
    }

    /// Whether requests of different costs differ.
    fn has_cost(&self) -> bool {
        true
    }

    /// Whether checks carry their labels, the limiter learns of the end of a call, and a node that
    /// is killed is started again.
    fn has_calls(&self) -> bool {
        false
    }

    /// The same target for the checks of one key, where their connections differ by key. `None`
    /// where any connection will do.
    fn of_key(&self, _key: &Key) -> Option<Box<dyn Target>> {
        None
    }

    /// The same target, whose requests state the `n`th of many caller's addresses in header fields.
    /// `None` where requests have no such fields.
    fn forged(&self, _n: u32) -> Option<Box<dyn Target>> {
        None
    }

    /// The process id of a node that the target itself has started, while it runs.
    fn process_id(&self, _node: usize) -> Option<u32> {
        None
    }
}

/// A connection to one node. Checks on it are made one after the other.
pub trait Connection: Send {
    /// Makes one check. A failure is an answer, too: its outcome is `Failed` or `Unknown`.
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer>;

    /// The cork of the connection, where the transport has one and the connection is open.
    fn cork(&self) -> Option<Arc<Cork>>;
}

/// A target that makes no sense, or cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No node was named.
    #[error("no node to send to")]
    NoNodes,
    /// A node is out of reach.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// A machine whose certificate would not be verified.
    #[error(
        "{0} is not on this machine, and --insecure is for this machine alone: name the \
        authority with --ca"
    )]
    Unverified(String),
    /// A URL is not one of the target's kind.
    #[error("{shown} is no URL of such a target: {reason}")]
    Url {
        /// The URL without user, password, path and query.
        shown: String,
        /// The reason.
        reason: String,
    },
    /// A node does not accept a connection.
    #[error("connect to {node}: {source}")]
    Connect {
        /// The node.
        node: NodeId,
        /// The reason.
        source: io::Error,
    },
    /// The child process cannot be started.
    #[error("start {program:?}: {source}")]
    Start {
        /// The program.
        program: String,
        /// The reason.
        source: io::Error,
    },
    /// The child process answers no more.
    #[error("{node}, {program:?}: {how}; it must answer lines until its input ends")]
    Ended {
        /// The node.
        node: NodeId,
        /// The program.
        program: String,
        /// The reason.
        how: String,
    },
}

/// The nodes in one line.
pub(crate) fn node_list(nodes: &[NodeId]) -> String {
    let nodes: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
    nodes.join(", ")
}
