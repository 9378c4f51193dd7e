use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::judgement::{Condition, Judgement};
use crate::Subject;
use crate::basis::Basis;
use crate::text::{Human, millis};

/// Checks are slow.
///
/// **Condition**, per node: the 99th percentile of its time to answer a check is above 100 ms, in
/// every round for 5 s. Warning.
///
/// **No false alarm**: it is the node's own measurement of its checks, not the observer's of its
/// samples, so a slow observer blames no node. A node that had no checks to answer is not slow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HighLatency {
    /// 99th percentile of the time to answer a check.
    #[serde(rename = "check_p99_ms", serialize_with = "millis")]
    pub check_p99: Duration,
    /// The largest allowed value.
    #[serde(rename = "allowed_ms", serialize_with = "millis")]
    pub allowed: Duration,
}

impl fmt::Display for HighLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p99 of checks {}, allowed {}",
            Human(self.check_p99),
            Human(self.allowed)
        )
    }
}

pub(super) fn judge(basis: &Basis<'_>) -> Vec<Judgement<HighLatency>> {
    let allowed = basis.thresholds.latency();
    let samples = basis.reading.samples();
    samples
        .map(|(node, sample)| {
            let condition = match sample.check_p99 {
                Some(check_p99) if check_p99 > allowed => {
                    Condition::Broken(HighLatency { check_p99, allowed })
                }
                _ => Condition::Intact,
            };
            Judgement {
                subject: Subject::Node(node.clone()),
                condition,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    fn p99(trial: &mut Trial, ms: u64) {
        trial.sample(1).check_p99 = Some(Duration::from_millis(ms));
    }

    #[test]
    fn five_slow_seconds_are_reported_with_the_peak() {
        let mut trial = Trial::new();
        trial.next();
        for round in 0..25 {
            p99(&mut trial, if round == 7 { 480 } else { 130 });
            assert_eq!(trial.next(), [""; 0], "round {round}");
        }
        assert_eq!(
            trial.next(),
            ["raised high_latency (node-2): p99 of checks 130 ms, allowed 100 ms"]
        );
        let violation = trial.monitor.active().next().unwrap();
        assert_eq!(
            violation.detected_at - violation.first_seen,
            Duration::from_secs(5)
        );
        assert_eq!(
            violation.peak.to_string(),
            "p99 of checks 480 ms, allowed 100 ms"
        );

        trial.sample(1).check_p99 = None;
        assert_eq!(
            trial.next_names(),
            ["cleared high_latency"],
            "without checks nobody waits"
        );
    }

    #[test]
    fn one_quick_round_starts_the_grace_anew() {
        let mut trial = Trial::new();
        for round in 0..60 {
            p99(&mut trial, if round % 20 == 0 { 100 } else { 101 });
            assert_eq!(trial.next(), [""; 0], "round {round}");
        }
    }

    #[test]
    fn time_without_samples_counts_towards_no_grace() {
        let mut trial = Trial::new();
        p99(&mut trial, 130);
        trial.next();
        trial.lose_node(1);
        for _ in 0..50 {
            trial.next();
        }
        trial.return_node(1);
        assert_eq!(
            trial.next_names(),
            ["cleared node_down"],
            "slow ten seconds ago and slow now is not slow for ten"
        );
        for _ in 0..24 {
            assert_eq!(trial.next(), [""; 0]);
        }
        assert_eq!(trial.next_names(), ["raised high_latency"]);
    }
}
