//! The part of a signal, in terms every system shares.

use super::Direction;
use serde::{Deserialize, Serialize};

/// The part that a signal plays, declared by the system's owner.
///
/// Mechanisms are decided on roles and topology; names, units and absolute values are opaque.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum SignalRole {
    /// Work arriving at an entity, or sent out by it, per unit of time.
    Demand,
    /// Work completed per unit of time.
    Throughput,
    /// Time to answer a question that changes nothing.
    Latency,
    /// Time to have a change accepted.
    ChangeLatency,
    /// Time since the last accepted change. Grows while nothing is accepted.
    ProgressAge,
    /// Work taken on and not yet handed over.
    Backlog,
    /// Amount of state held. Falls when state is lost.
    Volume,
    /// Confirmed changes that are no longer held. Zero while nothing is forgotten.
    Lost,
    /// Changes that are held although they were not confirmed. Near zero while confirmations
    /// arrive.
    Unconfirmed,
    /// High while the entity answers, zero while it does not.
    Availability,
    /// Time since the entity started. Falls back on a restart.
    Uptime,
    /// Share of a finite resource in use.
    Utilisation,
    /// Failures per unit of time.
    Errors,
    /// A configured value. It changes only when a person or a program sets it.
    Setting,
    /// Anything else: it is scored and dated, and carries no meaning beyond that.
    #[default]
    Other,
}

impl SignalRole {
    /// Whether a change of this role concerns the entity's health rather than its load.
    pub(crate) fn is_health(self) -> bool {
        self.bad_direction().is_some() && !matches!(self, Self::Backlog | Self::Unconfirmed)
    }

    /// The direction in which a change of this role is for the worse; none where both may be.
    pub(crate) fn bad_direction(self) -> Option<Direction> {
        match self {
            Self::Latency
            | Self::ChangeLatency
            | Self::ProgressAge
            | Self::Backlog
            | Self::Lost
            | Self::Unconfirmed
            | Self::Utilisation
            | Self::Errors => Some(Direction::Up),
            Self::Availability | Self::Uptime => Some(Direction::Down),
            Self::Demand | Self::Throughput | Self::Volume | Self::Setting | Self::Other => None,
        }
    }
}
