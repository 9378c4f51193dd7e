use std::fmt;
use std::time::Duration;

use ratelimiter_api::millis;
use serde::Serialize;

use crate::{Invariant, InvariantSeverity, Subject, ViolationNumbers};

/// An invariant that did not hold of a subject for longer than its grace.
///
/// All times are those of the observations, since the observer started.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Violation {
    /// The broken invariant.
    pub invariant: Invariant,
    /// Its severity.
    pub severity: InvariantSeverity,
    /// The node, key or store concerned.
    pub subject: Subject,
    /// The round in which the condition was first seen.
    #[serde(rename = "first_seen_ms", with = "millis")]
    pub first_seen: Duration,
    /// The round in which the grace had passed.
    #[serde(rename = "detected_at_ms", with = "millis")]
    pub detected_at: Duration,
    /// The latest round in which the condition was seen.
    #[serde(rename = "last_seen_ms", with = "millis")]
    pub last_seen: Duration,
    /// The numbers of that latest round.
    pub evidence: ViolationNumbers,
    /// The worst numbers of any round since the first.
    pub peak: ViolationNumbers,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}): {}",
            self.invariant, self.subject, self.evidence
        )
    }
}

/// A change of one violation by one round.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ViolationChange {
    /// The violation begins.
    Raised(Violation),
    /// The condition was seen not to hold any more, or its subject is gone. Holds the last numbers
    /// that broke it.
    Cleared(Violation),
}

impl ViolationChange {
    /// The violation, raised or cleared.
    pub fn violation(&self) -> &Violation {
        match self {
            Self::Raised(violation) | Self::Cleared(violation) => violation,
        }
    }
}

impl fmt::Display for ViolationChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raised(violation) => write!(f, "raised {violation}"),
            Self::Cleared(violation) => write!(f, "cleared {violation}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::TrialCluster;

    #[test]
    fn a_change_is_one_line_of_json() {
        let mut trial = TrialCluster::new();
        trial.next();
        trial.admitted([7, 7, 6]);
        let changes = trial.next_changes();
        assert_eq!(
            serde_json::to_value(&changes[0]).unwrap(),
            serde_json::json!({
                "change": "raised",
                "invariant": "ghost_allowing",
                "severity": "critical",
                "subject": {"kind": "key", "name": "k"},
                "first_seen_ms": 400.0,
                "detected_at_ms": 400.0,
                "last_seen_ms": 400.0,
                "evidence": {
                    "kind": "ghost_allowing",
                    "nodes": {"node-1": 7, "node-2": 7, "node-3": 6},
                    "admitted": 20,
                    "limit": 10,
                    "window_sec": 60,
                    "epoch": 1,
                },
                "peak": changes[0].violation().peak,
            })
        );
        trial.lose_store();
        for change in trial.next_changes() {
            assert!(
                serde_json::to_string(&change)
                    .unwrap()
                    .contains(r#""subject":{"kind":"store"}"#)
            );
        }
    }
}
