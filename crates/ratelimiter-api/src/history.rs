use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Key, NodeId, millis};

/// The outcome of a check, by the knowledge of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Admitted.
    Allowed,
    /// Denied for lack of quota.
    Denied,
    /// Not admitted, and not for lack of quota: a refused connection, a status that is neither
    /// allowed nor denied. The limiter may have charged it.
    Failed,
    /// No complete answer. The check may have been admitted, at any time after it was sent.
    Unknown,
}

/// A caller's record of one check: the decision fell somewhere between `invoke` and `complete`.
///
/// Both are measured from one origin on one monotonic clock. For an [`Outcome::Unknown`],
/// `complete` is the time at which the caller gave up, and the decision may fall later. As a line
/// of a history file it is one JSON object; see `docs/history.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The key that was checked.
    pub key: Key,
    /// Other subjects of the check, such as its user and its route, that a limit may count by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The node that was asked.
    pub node: NodeId,
    /// The time at which the request was sent.
    #[serde(rename = "invoke_ms", with = "millis")]
    pub invoke: Duration,
    /// The time at which the answer was complete.
    #[serde(rename = "complete_ms", with = "millis")]
    pub complete: Duration,
    /// The outcome.
    pub outcome: Outcome,
    /// Admissions asked for, at least 1.
    #[serde(default = "one")]
    pub cost: u32,
    /// The cost that the call used, where it is known after the call only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u32>,
    /// Time between request and answer for which the call surely held a place: the backend's own.
    /// Zero where it is not known.
    #[serde(
        rename = "held_ms",
        default,
        skip_serializing_if = "Duration::is_zero",
        with = "millis"
    )]
    pub held: Duration,
    /// The limiter's own statements in its answer.
    #[serde(default, skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
}

fn one() -> u32 {
    1
}

/// A limiter's statements about its quota. Checked, never believed: no verdict rests on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Limit in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Admissions left; may be negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<i64>,
    /// Time from the answer until quota returns.
    #[serde(rename = "reset_ms", default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<StatedTime>,
    /// Time from the answer after which a retry is invited.
    #[serde(
        rename = "retry_after_ms",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub retry_after: Option<StatedTime>,
}

/// A time that a limiter states, from its answer on; negative where it had passed by then. On the
/// wire, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct StatedTime {
    micros: i64,
}

impl StatedTime {
    /// A number of seconds; `None` beyond 292,000 years, and for what is no number.
    pub fn seconds(seconds: f64) -> Option<Self> {
        let micros = (seconds * 1e6).round();
        // Casts saturate: the largest numbers stand for all above.
        let fits = micros.abs() < i64::MAX as f64;
        fits.then_some(Self {
            micros: micros as i64,
        })
    }

    /// The time to wait; zero where it had passed.
    pub fn wait(self) -> Duration {
        Duration::from_micros(u64::try_from(self.micros).unwrap_or_default())
    }

    /// How long ago it was; zero where it was still to come.
    pub fn ago(self) -> Duration {
        Duration::from_micros(u64::try_from(self.micros.saturating_neg()).unwrap_or_default())
    }
}

impl From<Duration> for StatedTime {
    fn from(wait: Duration) -> Self {
        Self {
            micros: i64::try_from(wait.as_micros()).unwrap_or(i64::MAX),
        }
    }
}

impl TryFrom<f64> for StatedTime {
    type Error = String;

    fn try_from(ms: f64) -> Result<Self, String> {
        Self::seconds(ms / 1e3).ok_or_else(|| format!("{ms} ms is no time"))
    }
}

impl From<StatedTime> for f64 {
    fn from(time: StatedTime) -> Self {
        time.micros as Self / 1e3
    }
}

impl Claims {
    /// Whether the limiter stated nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Operation {
    /// A check of cost 1 without claims.
    pub fn new(
        key: Key,
        node: NodeId,
        invoke: Duration,
        complete: Duration,
        outcome: Outcome,
    ) -> Self {
        Self {
            key,
            labels: BTreeMap::new(),
            node,
            invoke,
            complete,
            outcome,
            cost: 1,
            used: None,
            held: Duration::ZERO,
            claims: Claims::default(),
        }
    }

    /// The same check with another cost.
    #[must_use]
    pub fn costing(self, cost: u32) -> Self {
        Self { cost, ..self }
    }

    /// The same check, of which the call used another cost.
    #[must_use]
    pub fn using(self, used: u32) -> Self {
        Self {
            used: Some(used),
            ..self
        }
    }

    /// The same check, whose call held a place for so long.
    #[must_use]
    pub fn holding(self, held: Duration) -> Self {
        Self { held, ..self }
    }

    /// The same check with one more label.
    #[must_use]
    pub fn labelled(mut self, label: &str, value: impl Into<String>) -> Self {
        self.labels.insert(label.to_owned(), value.into());
        self
    }
}
