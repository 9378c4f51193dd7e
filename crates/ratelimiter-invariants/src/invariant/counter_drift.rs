use std::collections::BTreeMap;
use std::fmt;

use ratelimiter_api::{Key, Limit, NodeId};
use serde::Serialize;

use crate::judgement::{Condition, DriftExcuse, RoundContext};
use crate::key_reading::difference;
use crate::numbers::Numbers;
use crate::text::{ByNode, MissingNodes};
use crate::thresholds::drift_tolerance;
use crate::{Invariant, KeyReading, ViolationNumbers};

/// The nodes' admissions and the shared count are not the same.
///
/// **Condition**, per key: over one span of one window's length,
/// `drift = node admissions - shared count` is beyond max(2, 10 % of the limit) in one direction,
/// in every round for 3 sync intervals of the slowest node, and the admissions on their way do not
/// explain it (below). Warning.
///
/// **No false alarm**:
/// - All samples are for the same span, the same window and the same counter (epoch); otherwise the
///   round is a gap.
/// - *Nodes ahead* (positive): a node that did not answer can only make the drift look smaller, so
///   a partial sum may raise but never clears.
/// - *Store ahead* (negative): judged only when every node answered and none started inside the
///   span. A node that restarted lost its own count, and its earlier writes are still in the store.
///   The store also counts a check before the node hears the answer; that lasts a round trip, far
///   less than the grace.
/// - *Leased keys*: the store counts charges, which are above the nodes' admissions by the unspent
///   part. Charge that is not settled does not count as drift.
/// - *Admissions on their way*: a node under load always has some that the next sync will write,
///   and at a high rate they are more than the tolerance, in every round, although each of them
///   arrives in time. So while the store confirmed a write of a node within the grace, what that
///   node reports as unsynced is excused. An admission that is too late to be excused is overdue at
///   its node (its writes are not confirmed) or lost (no node knows it to be unsynced).
/// - *The excuse does not last*: the admissions on their way in two rounds a grace apart differ,
///   for the first have arrived. A drift that is excused in round after round takes ever new
///   admissions, and a limiter that keeps its limit has no more than that of them in a window. When
///   it would need more, some node does not write the admissions that it reports as unsynced,
///   although its other writes are confirmed: that is drift, seen late.
///
/// ```text
///   node-1 29 |#############################|          drift = 87 - 40 = +47
///   node-2 29 |#############################|          tolerance of limit 100 = 10
///   node-3 29 |#############################|          held for 3 sync intervals: raised
///   store  40 |########################################|
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CounterDrift {
    /// Admissions in the window of each node that answered.
    pub nodes: BTreeMap<NodeId, u64>,
    /// Nodes that did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<NodeId>,
    /// Admissions of these nodes together.
    pub admitted: u64,
    /// Those of them that no write to the store has confirmed yet.
    pub unsynced: u64,
    /// Admissions in the window by the store.
    pub shared: u64,
    /// `admitted - shared`.
    pub drift: i64,
    /// The largest allowed difference.
    pub tolerance: u64,
    /// The limit; the largest while a change travels.
    #[serde(flatten)]
    pub limit: Limit,
    /// The counter's epoch.
    pub epoch: u64,
}

impl fmt::Display for CounterDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nodes admitted {} ({}{}), store counts {}: drift {:+}, tolerance {}",
            self.admitted,
            ByNode(&self.nodes),
            MissingNodes(&self.missing),
            self.shared,
            self.drift,
            self.tolerance
        )
    }
}

impl Numbers for CounterDrift {
    fn extent(&self) -> u64 {
        self.drift.unsigned_abs()
    }

    fn condition(&self) -> Option<(u64, i64)> {
        Some((self.epoch, self.drift.signum()))
    }
}

pub(super) fn judge(
    context: &RoundContext<'_>,
    key: &Key,
    counts: &KeyReading,
) -> Option<Condition> {
    let shared = counts.shared?;
    if counts.nodes.is_empty() {
        return None;
    }
    let admitted = counts.admitted();
    let tolerance = drift_tolerance(counts.limit.admissions());
    let numbers = || {
        ViolationNumbers::CounterDrift(CounterDrift {
            nodes: counts.by_node(|node| node.admissions),
            missing: counts.missing.clone(),
            admitted,
            unsynced: counts.sum(|node| node.unsynced),
            shared,
            drift: difference(admitted, shared),
            tolerance,
            limit: counts.limit,
            epoch: counts.epoch,
        })
    };
    let ahead = admitted.saturating_sub(shared);
    if ahead > tolerance {
        let excused = on_their_way(context, counts);
        if ahead.saturating_sub(excused) > tolerance {
            return Some(Condition::Broken(numbers()));
        }
        let excuse = DriftExcuse {
            on_their_way: tolerance.saturating_add(1),
            limit: context.memory.limit(key, counts)?,
        };
        return Some(Condition::Excused(numbers(), excuse));
    }
    if !counts.missing.is_empty() {
        return None;
    }
    // Charge of open grants may be unspent.
    let open = counts.grants.map_or(0, |grants| grants.open);
    let behind = shared.saturating_sub(open).saturating_sub(admitted);
    if behind <= tolerance {
        return Some(Condition::Intact);
    }
    counts.is_whole.then(|| Condition::Broken(numbers()))
}

/// Unsynced admissions of the nodes that had a write confirmed within the grace.
fn on_their_way(context: &RoundContext<'_>, counts: &KeyReading) -> u64 {
    let grace = Invariant::CounterDrift.grace(context.memory.slowest_sync());
    context
        .round
        .samples()
        .filter(|(_, sample)| context.round.write_age(sample) <= grace)
        .filter_map(|(node, _)| counts.nodes.get(node))
        .fold(0, |sum, count| sum.saturating_add(count.unsynced))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::ViolationChange;
    use crate::tests::TrialCluster;

    /// Limit 100 per 60 s: a tolerance of 10.
    fn trial() -> TrialCluster {
        let mut trial = TrialCluster::new();
        trial.limit(100, 60);
        assert_eq!(trial.next(), [""; 0]);
        trial
    }

    #[test]
    fn a_machine_that_stalls_between_rounds_raises_nothing() {
        let mut trial = trial();
        trial.admitted([14; 3]).shared(20);
        assert_eq!(
            trial.next(),
            [""; 0],
            "22 admissions on their way, none of them lost"
        );
        trial.stall(6);
        assert_eq!(
            trial.next(),
            [""; 0],
            "neither nodes nor observer ran in between"
        );
        trial.shared(42);
        assert_eq!(trial.next(), [""; 0]);
    }

    #[test]
    fn write_pause_raises_drift_after_three_intervals() {
        let mut trial = trial();
        for (round, count) in [14, 18, 22].into_iter().enumerate() {
            trial.admitted([count; 3]).shared(30);
            assert_eq!(trial.next(), [""; 0], "round {round}");
        }
        trial.admitted([26; 3]);
        let changes = trial.next_changes();
        let [ViolationChange::Raised(drift)] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!(
            drift.to_string(),
            "counter_drift (key k): nodes admitted 78 (node-1 26, node-2 26, node-3 26), store \
             counts 30: \
             drift +48, tolerance 10"
        );
        assert_eq!(
            drift.detected_at - drift.first_seen,
            Duration::from_millis(600)
        );

        trial.admitted([29; 3]).shared(40);
        assert_eq!(trial.next(), [""; 0]);
        let active = trial.monitor.active().next().unwrap();
        assert_eq!(active.last_seen, trial.at());
        assert!(
            active
                .evidence
                .to_string()
                .ends_with("drift +47, tolerance 10"),
            "{active}"
        );
        assert!(
            active.peak.to_string().ends_with("drift +48, tolerance 10"),
            "{}",
            active.peak
        );

        trial.shared(87);
        assert_eq!(trial.next_names(), ["cleared counter_drift"]);
    }

    #[test]
    fn small_or_brief_drift_is_none() {
        let mut trial = trial();
        for _ in 0..20 {
            trial.admitted([10; 3]).shared(20);
            assert_eq!(trial.next(), [""; 0], "10 is the tolerance");
            for _ in 0..3 {
                trial.shared(0);
                assert_eq!(trial.next(), [""; 0], "30 for 0.4 s");
            }
        }
    }

    #[test]
    fn the_slowest_node_sets_the_grace() {
        let mut trial = trial();
        trial.sample(2).sync_interval = Duration::from_millis(400);
        trial.admitted([20, 0, 0]);
        for _ in 0..6 {
            assert_eq!(trial.next(), [""; 0]);
        }
        assert_eq!(trial.next_names(), ["raised counter_drift"]);
    }

    #[test]
    fn nodes_ahead_are_seen_although_one_is_missing() {
        let mut trial = trial();
        trial.admitted([20, 20, 20]);
        trial.lose_node(0);
        for _ in 0..3 {
            trial.next();
        }
        assert_eq!(trial.next_names(), ["raised counter_drift"]);
        trial.shared(40);
        assert_eq!(
            trial.next(),
            [""; 0],
            "40 of 40, but the missing node may hold more"
        );
        assert_eq!(trial.active(), ["node_down", "counter_drift"]);
        trial.return_node(0);
        trial.shared(60);
        assert_eq!(
            trial.next_names(),
            ["cleared node_down", "cleared counter_drift"]
        );
    }

    #[test]
    fn store_ahead_of_whole_logs_is_drift() {
        let mut trial = trial();
        trial.admitted([10; 3]).shared(45);
        for _ in 0..3 {
            assert_eq!(trial.next(), [""; 0]);
        }
        let raised = trial.next();
        assert!(
            raised[0].ends_with("store counts 45: drift -15, tolerance 10"),
            "{raised:?}"
        );
    }

    #[test]
    fn restarted_or_missing_node_is_not_drift() {
        let mut trial = trial();
        trial.admitted([0, 10, 10]).shared(45);
        trial.sample(0).started_at_us = trial.now_us() - 30_000_000;
        for _ in 0..20 {
            assert_eq!(trial.next(), [""; 0]);
        }
        trial.sample(0).started_at_us = 0;
        trial.lose_node(0);
        trial.next();
        for _ in 0..20 {
            assert_eq!(trial.next(), [""; 0]);
        }
    }

    #[test]
    fn a_gap_neither_begins_nor_ends_a_drift() {
        let mut trial = trial();
        trial.admitted([20; 3]);
        trial.next();
        trial.lose_store();
        for _ in 0..10 {
            trial.next();
        }
        trial.return_store();
        assert_eq!(
            trial.next_names(),
            ["cleared redis_disconnected"],
            "seen twice, not held"
        );
        for _ in 0..2 {
            assert_eq!(trial.next(), [""; 0]);
        }
        assert_eq!(trial.next_names(), ["raised counter_drift"]);
        trial.lose_store();
        trial.next();
        assert_eq!(trial.active(), ["redis_disconnected", "counter_drift"]);
    }

    #[test]
    fn counters_of_different_epochs_are_not_compared() {
        let mut trial = trial();
        trial.admitted([20; 3]).epoch(2).node_epoch(0, 1);
        for _ in 0..10 {
            assert_eq!(trial.next(), [""; 0]);
        }
    }

    #[test]
    fn confirmed_writes_excuse_admissions_on_their_way() {
        let mut trial = trial();
        for _ in 0..6 {
            trial.admitted([10; 3]).unsynced([10; 3]);
            assert_eq!(
                trial.next(),
                [""; 0],
                "a busy second: ever new admissions wait for the next sync"
            );
        }
        for (age, changes) in [
            (300, vec![]),
            (500, vec![]),
            (
                700,
                vec!["raised store_not_writable", "raised counter_drift"],
            ),
        ] {
            for node in 0..3 {
                trial.sample(node).last_write_age = Some(Duration::from_millis(age));
            }
            assert_eq!(trial.next_names(), changes, "the next sync does not come");
        }
    }

    #[test]
    fn excuse_ends_beyond_the_limit() {
        let mut trial = trial();
        trial.admitted([10; 3]).unsynced([10; 3]);
        let quiet = (0..).take_while(|_| trial.next().is_empty()).count();
        assert_eq!(
            quiet, 27,
            "the tenth grace would take 110 admissions: a flush that never comes"
        );
        assert_eq!(trial.active(), ["counter_drift"]);
    }

    #[test]
    fn synced_admission_missing_in_store_is_drift() {
        let mut trial = trial();
        trial.admitted([10; 3]).shared(15).unsynced([1; 3]);
        for _ in 0..3 {
            assert_eq!(trial.next(), [""; 0]);
        }
        assert_eq!(trial.next_names(), ["raised counter_drift"]);
    }

    #[test]
    fn a_drift_that_turns_round_is_another_one() {
        let mut trial = trial();
        for shared in [0, 0, 0, 45, 45, 45] {
            trial.admitted([10; 3]).shared(shared);
            assert_eq!(trial.next(), [""; 0]);
        }
        assert_eq!(trial.next_names(), ["raised counter_drift"]);
        trial.shared(0);
        assert_eq!(trial.next_names(), ["cleared counter_drift"]);
    }
}
