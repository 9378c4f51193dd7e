//! The answer of an engine.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::evidence::{Direction, Params, RowId};

/// Name and version of the result format.
pub const RESULT_SCHEMA: &str = "diagnosis.result/1";

/// A way in which systems of any kind fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// A dependency takes no more changes while it still answers reads.
    StoppedAcceptingChanges,
    /// A dependency takes changes, and its confirmations do not arrive.
    ConfirmationsLost,
    /// An entity answers nothing.
    StoppedAnswering,
    /// An entity started again, and its state in memory is gone.
    Restarted,
    /// An entity no longer holds changes that it had confirmed.
    LostState,
    /// One entity no longer reaches a dependency that its peers still reach.
    LostPath,
    /// An entity answers more slowly, and nothing asks more of it.
    SlowedDown,
    /// More work came in, and the entities that have to do it show it.
    MoreLoad,
    /// Load rose faster than state propagates, so decisions were taken on stale local state.
    LoadOutranPropagation,
    /// A configured value changed.
    ConfigurationChanged,
    /// Something else, or nothing that can be named.
    Unexplained,
}

impl Mechanism {
    /// Every mechanism.
    pub const ALL: [Self; 11] = [
        Self::StoppedAcceptingChanges,
        Self::ConfirmationsLost,
        Self::StoppedAnswering,
        Self::Restarted,
        Self::LostState,
        Self::LostPath,
        Self::SlowedDown,
        Self::MoreLoad,
        Self::LoadOutranPropagation,
        Self::ConfigurationChanged,
        Self::Unexplained,
    ];
}

/// The mechanism as the end of a sentence that begins with the entity.
impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StoppedAcceptingChanges => {
                "stopped accepting changes while still answering reads"
            }
            Self::ConfirmationsLost => "takes changes whose confirmations do not arrive",
            Self::StoppedAnswering => "stopped answering",
            Self::Restarted => "restarted and lost state",
            Self::LostState => "lost changes that it had confirmed",
            Self::LostPath => "lost its path to a dependency that its peers still reach",
            Self::SlowedDown => "slowed down without more load",
            Self::MoreLoad => "passed on more load than usual",
            Self::LoadOutranPropagation => "sent load faster than state propagates",
            Self::ConfigurationChanged => "had its configuration changed",
            Self::Unexplained => "changed first, by no known mechanism",
        })
    }
}

/// The engine that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// By which method.
    pub kind: EngineKind,
    /// The engine's name.
    pub name: String,
    /// The model, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The engine that should have answered, and why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_from: Option<Fallback>,
}

/// A method of diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The analyser of this crate.
    Offline,
    /// A language model, checked.
    Llm,
}

/// Why the answer does not come from the engine that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// The model that was asked.
    pub model: String,
    /// Why its answer does not stand.
    pub reason: String,
}

/// The answer in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A hypothesis is supported.
    CauseFound,
    /// Something is wrong, and the evidence does not show the cause.
    Inconclusive,
    /// Nothing is wrong.
    NoIncident,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CauseFound => "cause found",
            Self::Inconclusive => "inconclusive",
            Self::NoIncident => "no incident",
        })
    }
}

/// The standing of a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The evidence speaks for it.
    Supported,
    /// The evidence rules it out.
    Refuted,
    /// Neither.
    Open,
}

/// One step of a chain of effects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The entity it comes from.
    pub cause: String,
    /// The entity it reaches.
    pub effect: String,
    /// Seconds between their onsets.
    pub lag_s: f64,
}

/// A possible cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// How it is referred to.
    #[serde(default)]
    pub id: String,
    /// 1 is the best.
    #[serde(default)]
    pub rank: u32,
    /// Where the cause would be.
    pub entity: String,
    /// Which kind of failure it would be.
    pub mechanism: Mechanism,
    /// The hypothesis in a sentence.
    pub statement: String,
    /// Its standing.
    pub status: Status,
    /// 0 to 1.
    pub confidence: f64,
    /// The rows that speak for it.
    #[serde(rename = "for", default)]
    pub supports: Vec<RowId>,
    /// The rows that speak against it.
    #[serde(default)]
    pub against: Vec<RowId>,
    /// How it leads to the violation.
    #[serde(default)]
    pub chain: Vec<Link>,
}

/// An effect of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// The signal falls.
    Falls,
    /// The signal rises.
    Rises,
    /// The invariant holds again.
    Clears,
}

/// A prediction that can be checked once the action was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Where.
    pub entity: String,
    /// Which signal, or which invariant.
    pub signal: String,
    /// The effect.
    pub expect: Expect,
    /// The level it returns to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
}

/// The action recommended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// Its id in the catalogue.
    pub id: String,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: Params,
    /// The rows that call for it.
    #[serde(default)]
    pub why: Vec<RowId>,
    /// Its predicted effects.
    #[serde(default)]
    pub predict: Vec<Prediction>,
}

/// The cost of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Milliseconds.
    pub ms: f64,
    /// Tokens sent.
    #[serde(default)]
    pub tokens_in: u64,
    /// Tokens received.
    #[serde(default)]
    pub tokens_out: u64,
}

impl Cost {
    /// The cost of an answer that took `elapsed` and no tokens.
    pub fn of(elapsed: Duration) -> Self {
        Self {
            ms: (elapsed.as_secs_f64() * 1e5).round() / 100.0,
            tokens_in: 0,
            tokens_out: 0,
        }
    }
}

/// An answer, as an engine gives it. Only [`validate`](crate::validate) makes a
/// [`Validated`](crate::Validated) of it, and only that can be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// [`RESULT_SCHEMA`].
    pub schema: String,
    /// The engine that answered.
    pub engine: Engine,
    /// The answer in a word.
    pub verdict: Verdict,
    /// Causes considered, best first.
    pub hypotheses: Vec<Hypothesis>,
    /// The action recommended.
    pub action: Option<Remedy>,
    /// Questions that the evidence leaves open.
    pub unknowns: Vec<String>,
    /// Its cost.
    pub cost: Cost,
}

impl Diagnosis {
    /// The supported cause, when there is one.
    pub fn cause(&self) -> Option<&Hypothesis> {
        self.hypotheses
            .iter()
            .find(|h| h.status == Status::Supported)
    }

    /// Whether two answers come down to the same: verdict, entity and mechanism.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let core = |d: &Self| {
            (
                d.verdict,
                d.cause().map(|h| (h.entity.clone(), h.mechanism)),
            )
        };
        core(self) == core(other)
    }
}

/// A confidence as a word.
pub fn confidence_word(confidence: f64) -> &'static str {
    match confidence {
        c if c >= 0.75 => "high",
        c if c >= 0.5 => "medium",
        _ => "low",
    }
}

impl Direction {
    /// The effect when the change goes back.
    pub(crate) fn undone(self) -> Expect {
        match self {
            Self::Up => Expect::Falls,
            Self::Down => Expect::Rises,
        }
    }
}
