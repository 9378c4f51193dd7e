//! The input: a signal's samples.

use std::time::Duration;

use super::SignalRole;

/// The samples of one signal of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalSeries {
    /// The entity it belongs to.
    pub entity: String,
    /// Its name, unique within the entity.
    pub name: String,
    /// The unit, for the reader only.
    pub unit: String,
    /// The part it plays.
    pub role: SignalRole,
    /// The size of a deviation, in the unit, below which it does not matter; zero when every one
    /// may matter. Part of the scale that deviations are measured by.
    pub floor: f64,
    /// Samples in any order, by the time since the run began. `None` is a sample that is missing,
    /// not a zero.
    pub points: Vec<(Duration, Option<f64>)>,
}

impl SignalSeries {
    /// A signal without samples.
    pub fn new(
        entity: impl Into<String>,
        name: impl Into<String>,
        unit: impl Into<String>,
        role: SignalRole,
    ) -> Self {
        Self {
            entity: entity.into(),
            name: name.into(),
            unit: unit.into(),
            role,
            floor: 0.0,
            points: Vec::new(),
        }
    }

    /// Sets the size of deviations that are too small to matter: a change exceeds it several times
    /// over.
    #[must_use]
    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = floor;
        self
    }

    /// Adds a sample.
    pub fn push(&mut self, at: Duration, value: Option<f64>) {
        self.points.push((at, value));
    }
}
