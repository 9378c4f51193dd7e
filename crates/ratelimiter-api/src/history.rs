use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Key, NodeId, millis};

/// What a caller learned of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Status 200.
    Allowed,
    /// Status 429.
    Denied,
    /// No answer, or one that says neither. The check may have been counted.
    Unknown,
}

/// One check of cost 1 as its caller saw it: the decision fell somewhere between `invoke` and `complete`.
///
/// Both are measured from one origin on one monotonic clock. For an [`Outcome::Unknown`], `complete` is when the
/// caller gave up, and the decision may fall later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What was checked.
    pub key: Key,
    /// Whom the caller asked.
    pub node: NodeId,
    /// When the request was sent.
    #[serde(rename = "invoke_ms", with = "millis")]
    pub invoke: Duration,
    /// When the answer was complete.
    #[serde(rename = "complete_ms", with = "millis")]
    pub complete: Duration,
    /// What it said.
    pub outcome: Outcome,
}
