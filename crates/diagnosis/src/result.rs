//! The answer of an engine.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::evidence::{ActionParams, EvidenceId};

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
pub struct AnswerEngine {
    /// Its method.
    pub kind: EngineKind,
    /// The engine's name.
    pub name: String,
    /// The model, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The engine in whose place this one answered, with the reason.
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

/// Reason for which another engine answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// The model that was asked.
    pub model: String,
    /// The reason.
    pub reason: String,
}

/// The answer in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// A hypothesis is supported.
    CauseFound,
    /// Something is wrong, and the evidence does not show the cause.
    Inconclusive,
    /// Nothing is wrong.
    NoIncident,
}

impl fmt::Display for Conclusion {
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
pub enum HypothesisStatus {
    /// The evidence speaks for it.
    Supported,
    /// The evidence rules it out.
    Refuted,
    /// The evidence does not decide.
    Open,
}

/// One step of a chain of effects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChainStep {
    /// The entity at its beginning.
    pub cause: String,
    /// The entity at its end.
    pub effect: String,
    /// Seconds between their onsets.
    pub lag_s: f64,
}

/// A possible cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// Id by which it is cited.
    #[serde(default)]
    pub id: String,
    /// Place in the order; 1 is the best.
    #[serde(default)]
    pub rank: u32,
    /// The entity at fault.
    pub entity: String,
    /// The kind of failure.
    pub mechanism: Mechanism,
    /// The hypothesis in a sentence.
    pub statement: String,
    /// Its standing.
    pub status: HypothesisStatus,
    /// Confidence, 0 to 1.
    pub confidence: f64,
    /// The rows that speak for it.
    #[serde(rename = "for", default)]
    pub supports: Vec<EvidenceId>,
    /// The rows that speak against it.
    #[serde(default)]
    pub against: Vec<EvidenceId>,
    /// The steps from the cause to the violation.
    #[serde(default)]
    pub chain: Vec<ChainStep>,
}

/// An effect of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PredictedEffect {
    /// The signal falls.
    Falls,
    /// The signal rises.
    Rises,
    /// The invariant holds again.
    Clears,
}

/// A prediction that can be checked after the action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The entity.
    pub entity: String,
    /// Name of the signal or of the invariant.
    pub signal: String,
    /// The effect.
    pub expect: PredictedEffect,
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
    pub params: ActionParams,
    /// The rows that call for it.
    #[serde(default)]
    pub why: Vec<EvidenceId>,
    /// Its predicted effects.
    #[serde(default)]
    pub predict: Vec<Prediction>,
}

/// The cost of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct AnswerCost {
    /// Time in milliseconds.
    pub ms: f64,
    /// Tokens sent.
    #[serde(default)]
    pub tokens_in: u64,
    /// Tokens received.
    #[serde(default)]
    pub tokens_out: u64,
}

impl AnswerCost {
    /// The cost of an answer that took `elapsed` and no tokens.
    pub fn of(elapsed: Duration) -> Self {
        Self {
            ms: (elapsed.as_secs_f64() * 1e5).round() / 100.0,
            tokens_in: 0,
            tokens_out: 0,
        }
    }
}

/// An engine's answer. Only [`validate`](crate::validate) makes a
/// [`Validated`](crate::Validated) of it, and only that can be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// [`RESULT_SCHEMA`].
    pub schema: String,
    /// The engine that answered.
    pub engine: AnswerEngine,
    /// The answer in a word.
    pub verdict: Conclusion,
    /// Causes considered, best first.
    pub hypotheses: Vec<Hypothesis>,
    /// The action recommended.
    pub action: Option<Remedy>,
    /// Questions that the evidence leaves open.
    pub unknowns: Vec<String>,
    /// Its cost.
    pub cost: AnswerCost,
}

impl Diagnosis {
    /// The supported cause, when there is one.
    pub fn cause(&self) -> Option<&Hypothesis> {
        self.hypotheses
            .iter()
            .find(|h| h.status == HypothesisStatus::Supported)
    }

    /// Whether verdict, entity and mechanism of two answers are equal.
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
