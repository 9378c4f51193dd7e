//! The catalogue of actions, and the attempts so far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Mechanism;

/// Parameter values by name.
pub type ActionParams = BTreeMap<String, Value>;

/// The harm that an action may do when it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionRisk {
    /// Nothing a user of the system would notice.
    Low,
    /// Some users may notice.
    Medium,
    /// Everyone may notice.
    High,
}

impl std::fmt::Display for ActionRisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// The values a parameter may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ParamDomain {
    /// A number between `min` and `max`, both included.
    Number {
        /// Smallest value allowed.
        min: f64,
        /// Largest value allowed.
        max: f64,
    },
    /// One of the options.
    Choice {
        /// Every value allowed.
        options: Vec<String>,
    },
}

impl ParamDomain {
    /// Whether `value` is one of the values allowed.
    pub fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Number { min, max } => value.as_f64().is_some_and(|v| v >= *min && v <= *max),
            Self::Choice { options } => value
                .as_str()
                .is_some_and(|v| options.iter().any(|o| o == v)),
        }
    }
}

/// A parameter of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionParam {
    /// Its name.
    pub name: String,
    /// The values it may take.
    #[serde(flatten)]
    pub domain: ParamDomain,
    /// The value used when none is chosen. Without one, the parameter has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// Something that can be done about an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorAction {
    /// Unique in the catalogue.
    pub id: String,
    /// Its effect, in a few words of the system's own.
    pub label: String,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ActionParam>,
    /// Whether it can be undone. The catalogue is the only source for this; an engine's word is not
    /// taken.
    pub reversible: bool,
    /// The harm when it goes wrong.
    pub risk: ActionRisk,
    /// The entities it acts on.
    pub touches: Vec<String>,
    /// The mechanisms it is meant for, by the runbook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cures: Vec<Mechanism>,
}

impl OperatorAction {
    /// A reversible action of low risk, without parameters, that touches nothing yet.
    pub fn new(id: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            label: label.into(),
            params: Vec::new(),
            reversible: true,
            risk: ActionRisk::Low,
            touches: Vec::new(),
            cures: Vec::new(),
        }
    }

    /// Adds an entity the action acts on.
    #[must_use]
    pub fn touches(mut self, entity: impl Into<String>) -> Self {
        self.touches.push(entity.into());
        self
    }

    /// Adds a mechanism the action is meant for.
    #[must_use]
    pub fn cures(mut self, mechanism: Mechanism) -> Self {
        self.cures.push(mechanism);
        self
    }

    /// Sets the risk.
    #[must_use]
    pub fn risk(mut self, risk: ActionRisk) -> Self {
        self.risk = risk;
        self
    }

    /// Marks the action as one that cannot be undone.
    #[must_use]
    pub fn irreversible(mut self) -> Self {
        self.reversible = false;
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn param(
        mut self,
        name: impl Into<String>,
        domain: ParamDomain,
        default: Option<Value>,
    ) -> Self {
        self.params.push(ActionParam {
            name: name.into(),
            domain,
            default,
        });
        self
    }
}

/// Result of an earlier attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptResult {
    /// The violation cleared.
    Helped,
    /// The violation stayed, or the action could not be carried out.
    Failed,
}

/// An action that was tried during this incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionAttempt {
    /// The action's id.
    pub action: String,
    /// The parameters it was tried with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: ActionParams,
    /// Its result.
    pub outcome: AttemptResult,
}
