//! Entities and their dependencies.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::seconds;
use crate::figure::word;

/// The signal name under which an entity's [`Entity::propagation`] appears among the rows.
pub const PROPAGATION: &str = "propagation interval";

/// A part of the system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Unique in the topology.
    pub id: String,
    /// Its kind, in the system's own word.
    pub kind: String,
    /// Its name in a sentence, such as "the database"; the id where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Its work, as a newcomer's manual would describe it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub describes: String,
    /// Interval between exchanges of state with its peers, of an entity that decides from a local
    /// copy.
    #[serde(
        default,
        with = "seconds::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub propagation: Option<Duration>,
}

impl Entity {
    /// An entity without a description.
    pub fn new(id: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: kind.into(),
            label: String::new(),
            describes: String::new(),
            propagation: None,
        }
    }

    /// Its name in a sentence: the label, or the id where there is none.
    pub(crate) fn name(&self) -> &str {
        if self.label.is_empty() {
            &self.id
        } else {
            &self.label
        }
    }

    /// Sets its name in a sentence.
    #[must_use]
    pub fn called(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Describes its work.
    #[must_use]
    pub fn describes(mut self, text: impl Into<String>) -> Self {
        self.describes = text.into();
        self
    }

    /// Declares that it decides from a local copy of shared state, refreshed at this interval.
    #[must_use]
    pub fn propagates_every(mut self, interval: Duration) -> Self {
        self.propagation = Some(interval);
        self
    }
}

/// `from` depends on `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyEdge {
    /// The dependant.
    pub from: String,
    /// The dependency.
    pub to: String,
    /// The relation in a few words: "keeps its state in".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rel: String,
}

/// Entities and their dependencies.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Topology {
    /// The parts.
    pub entities: Vec<Entity>,
    /// The dependencies.
    pub edges: Vec<TopologyEdge>,
}

impl Topology {
    /// The entity of that id.
    pub fn entity(&self, id: &str) -> Option<&Entity> {
        self.entities.iter().find(|e| e.id == id)
    }

    /// Its name in a sentence: the label, or the id where there is none.
    pub(crate) fn label<'a>(&'a self, id: &'a str) -> &'a str {
        self.entity(id).map_or(id, Entity::name)
    }

    /// Its name as the owner of a signal: "the database's".
    pub(crate) fn whose(&self, id: &str) -> String {
        let name = word(self.label(id));
        if name.ends_with('s') {
            format!("{name}'")
        } else {
            format!("{name}'s")
        }
    }
}
