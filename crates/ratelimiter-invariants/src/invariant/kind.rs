use std::fmt;

use serde::Serialize;

/// What must hold of a cluster at every moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// Every node can be reached and its heartbeat is not overdue.
    NodeDown,
    /// The store answers reads.
    RedisDisconnected,
    /// The store takes writes.
    StoreNotWritable,
    /// The store holds every admission that it confirmed.
    StoreForgot,
    /// Checks are answered quickly.
    HighLatency,
    /// The admissions the nodes granted are those the store counts.
    CounterDrift,
    /// The store counts no more admissions than the limit.
    OverLimit,
    /// The nodes granted no more admissions than the limit.
    GhostAllowing,
    /// The nodes spent no more of their grants than the store charged.
    Overspent,
}

/// How bad a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is degraded.
    Warning,
    /// Something promised is broken.
    Critical,
}

impl Severity {
    /// The word used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Invariant {
    /// Every invariant, in the order in which a round's changes are reported: causes before
    /// effects.
    pub const ALL: &[Self] = &[
        Self::NodeDown,
        Self::RedisDisconnected,
        Self::StoreNotWritable,
        Self::StoreForgot,
        Self::HighLatency,
        Self::CounterDrift,
        Self::OverLimit,
        Self::GhostAllowing,
        Self::Overspent,
    ];

    /// The word used in output when the invariant does not hold.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NodeDown => "node_down",
            Self::RedisDisconnected => "redis_disconnected",
            Self::StoreNotWritable => "store_not_writable",
            Self::StoreForgot => "store_forgot",
            Self::HighLatency => "high_latency",
            Self::CounterDrift => "counter_drift",
            Self::OverLimit => "over_limit",
            Self::GhostAllowing => "ghost_allowing",
            Self::Overspent => "overspent",
        }
    }

    /// How bad it is when it does not hold.
    pub const fn severity(self) -> Severity {
        match self {
            Self::NodeDown
            | Self::RedisDisconnected
            | Self::StoreForgot
            | Self::GhostAllowing
            | Self::Overspent => Severity::Critical,
            Self::StoreNotWritable | Self::HighLatency | Self::CounterDrift | Self::OverLimit => {
                Severity::Warning
            }
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_complete_and_ordered() {
        for (n, &invariant) in Invariant::ALL.iter().enumerate() {
            assert_eq!(invariant as usize, n);
        }
    }

    #[test]
    fn json_uses_the_same_words() {
        for invariant in Invariant::ALL {
            assert_eq!(serde_json::to_value(invariant).unwrap(), invariant.as_str());
            let severity = invariant.severity();
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.as_str());
        }
    }
}
