use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{Finding, Verdict};
use crate::monitor::Scene;
use crate::text::{Human, millis};
use crate::{Evidence, Subject};

/// Checks are slow.
///
/// **Condition**, per node: the 99th percentile of its time to answer a check is above 100 ms, in every round for 5 s.
/// Warning.
///
/// **No false alarm**: it is the node's own measurement of its checks, not the observer's of its samples, so a slow
/// observer blames nobody. A node that had no checks to answer is not slow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HighLatency {
    /// 99th percentile of the time to answer a check.
    #[serde(rename = "check_p99_ms", serialize_with = "millis")]
    pub check_p99: Duration,
    /// What it may be.
    #[serde(rename = "allowed_ms", serialize_with = "millis")]
    pub allowed: Duration,
}

impl fmt::Display for HighLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p99 of checks {}, allowed {}", Human(self.check_p99), Human(self.allowed))
    }
}

pub(super) fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    let allowed = scene.thresholds.latency();
    let samples = scene.round.samples();
    samples
        .map(|(node, sample)| {
            let verdict = match sample.check_p99 {
                Some(check_p99) if check_p99 > allowed => {
                    Verdict::Broken(Evidence::HighLatency(HighLatency { check_p99, allowed }))
                }
                _ => Verdict::Intact,
            };
            Finding { subject: Subject::Node(node.clone()), verdict }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::story::Story;

    fn p99(story: &mut Story, ms: u64) {
        story.sample(1).check_p99 = Some(Duration::from_millis(ms));
    }

    #[test]
    fn a_node_that_is_slow_for_five_seconds_is_reported_with_its_worst() {
        let mut story = Story::new();
        story.next();
        for round in 0..25 {
            p99(&mut story, if round == 7 { 480 } else { 130 });
            assert_eq!(story.next(), [""; 0], "round {round}");
        }
        assert_eq!(story.next(), ["raised high_latency (node-2): p99 of checks 130 ms, allowed 100 ms"]);
        let violation = story.monitor.active().next().unwrap();
        assert_eq!(violation.detected_at - violation.first_seen, Duration::from_secs(5));
        assert_eq!(violation.peak.to_string(), "p99 of checks 480 ms, allowed 100 ms");

        story.sample(1).check_p99 = None;
        assert_eq!(story.next_names(), ["cleared high_latency"], "without checks nobody waits");
    }

    #[test]
    fn one_quick_round_starts_the_grace_anew() {
        let mut story = Story::new();
        for round in 0..60 {
            p99(&mut story, if round % 20 == 0 { 100 } else { 101 });
            assert_eq!(story.next(), [""; 0], "round {round}");
        }
    }

    #[test]
    fn time_without_samples_counts_towards_no_grace() {
        let mut story = Story::new();
        p99(&mut story, 130);
        story.next();
        story.lose_node(1);
        for _ in 0..50 {
            story.next();
        }
        story.return_node(1);
        assert_eq!(
            story.next_names(),
            ["cleared node_down"],
            "slow ten seconds ago and slow now is not slow for ten"
        );
        for _ in 0..24 {
            assert_eq!(story.next(), [""; 0]);
        }
        assert_eq!(story.next_names(), ["raised high_latency"]);
    }
}
