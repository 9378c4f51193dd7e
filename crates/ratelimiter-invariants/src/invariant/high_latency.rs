use std::fmt;
use std::time::Duration;

use ratelimiter_api::{NodeId, NodeSample, millis};
use serde::Serialize;

use crate::judgement::{Condition, Judgement, RoundContext};
use crate::numbers::{Numbers, micros};
use crate::text::HumanDuration;
use crate::thresholds::MAX_CHECK_P99;
use crate::{Subject, ViolationNumbers};

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
    #[serde(rename = "check_p99_ms", with = "millis")]
    pub check_p99: Duration,
    /// The largest allowed value.
    #[serde(rename = "allowed_ms", with = "millis")]
    pub allowed: Duration,
}

impl fmt::Display for HighLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p99 of checks {}, allowed {}",
            HumanDuration(self.check_p99),
            HumanDuration(self.allowed)
        )
    }
}

impl Numbers for HighLatency {
    fn extent(&self) -> u64 {
        micros(self.check_p99)
    }
}

pub(super) fn judge(context: &RoundContext<'_>) -> Vec<Judgement> {
    let allowed = MAX_CHECK_P99;
    let judgement = |(node, sample): (&NodeId, &NodeSample)| {
        let condition = match sample.check_p99 {
            Some(check_p99) if check_p99 > allowed => {
                let numbers = HighLatency { check_p99, allowed };
                Condition::Broken(ViolationNumbers::HighLatency(numbers))
            }
            _ => Condition::Intact,
        };
        Judgement {
            subject: Subject::Node(node.clone()),
            condition,
        }
    };
    context.round.samples().map(judgement).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TrialCluster;

    fn p99(trial: &mut TrialCluster, ms: u64) {
        trial.sample(1).check_p99 = Some(Duration::from_millis(ms));
    }

    #[test]
    fn five_slow_seconds_are_reported_with_the_peak() {
        let mut trial = TrialCluster::new();
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
            "without checks no caller waits"
        );
    }

    #[test]
    fn one_quick_round_starts_the_grace_anew() {
        let mut trial = TrialCluster::new();
        for round in 0..60 {
            p99(&mut trial, if round % 20 == 0 { 100 } else { 101 });
            assert_eq!(trial.next(), [""; 0], "round {round}");
        }
    }

    #[test]
    fn time_without_samples_counts_towards_no_grace() {
        let mut trial = TrialCluster::new();
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
