use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ratelimiter_api::{NodeId, millis};
use serde::Serialize;

use crate::judgement::{Condition, Judgement, RoundContext};
use crate::numbers::{Numbers, micros};
use crate::text::{ByNode, HumanDuration, millis_by_node};
use crate::thresholds::write_patience;
use crate::{Subject, ViolationNumbers};

/// The store answers reads and takes no writes.
///
/// **Condition**: no node that answered had a write confirmed in time, and for at least one node,
/// - the store last confirmed a write of it more than 3 of its sync intervals ago, or never since a
///   start that long ago, and
/// - for 3 sync intervals since that write it was seen to run, while its reads of the store and the
///   observer's passed in every round.
///
/// No further grace, warning.
///
/// **No false alarm**: nodes write at every sync, if only a heartbeat. One recent write of *any*
/// node proves that the store takes writes, so a single node that is cut off, stalled or broken
/// does not make the store look read-only. A node that has only just come back, or whose store has,
/// gets the 3 intervals anew to write something. So does a node that took more than half a sync
/// interval to answer: it may have stood still. A machine that stands still between two rounds does
/// not count either, since the time from one round to the next counts for half the 3 intervals at
/// most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreNotWritable {
    /// Time since the store last confirmed a write of any node.
    #[serde(rename = "age_ms", with = "millis")]
    pub age: Duration,
    /// The same for each node whose writes are overdue.
    #[serde(rename = "overdue_ms", serialize_with = "millis_by_node")]
    pub overdue: BTreeMap<NodeId, Duration>,
    /// The largest allowed age, of the slowest of these nodes.
    #[serde(rename = "allowed_ms", with = "millis")]
    pub allowed: Duration,
}

impl fmt::Display for StoreNotWritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ages: BTreeMap<_, _> = self
            .overdue
            .iter()
            .map(|(node, &age)| (node.clone(), HumanDuration(age)))
            .collect();
        write!(
            f,
            "store confirmed no write for {} while reads pass ({}), allowed {}",
            HumanDuration(self.age),
            ByNode(&ages),
            HumanDuration(self.allowed)
        )
    }
}

impl Numbers for StoreNotWritable {
    fn extent(&self) -> u64 {
        micros(self.age)
    }
}

pub(super) fn judge(context: &RoundContext<'_>) -> Vec<Judgement> {
    if context.round.observation.store.is_none() {
        return Vec::new();
    }
    let mut overdue = BTreeMap::new();
    let mut allowed = Duration::ZERO;
    for (node, sample) in context.round.samples() {
        let patience = write_patience(sample.sync_interval);
        let age = context.round.write_age(sample);
        let unwritten = context.memory.unwritten(node);
        if age > patience && unwritten.is_some_and(|time| time >= patience) {
            overdue.insert(node.clone(), age);
            allowed = allowed.max(patience);
        }
    }
    let condition = if context.round.takes_writes() == Some(true) {
        Condition::Intact
    } else if let Some(&age) = overdue.values().min() {
        Condition::Broken(ViolationNumbers::StoreNotWritable(StoreNotWritable {
            age,
            overdue,
            allowed,
        }))
    } else {
        return Vec::new();
    };
    vec![Judgement {
        subject: Subject::Store,
        condition,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TrialCluster;

    fn write_ages(trial: &mut TrialCluster, ages_ms: [u64; 3]) {
        for (node, age) in ages_ms.into_iter().enumerate() {
            trial.sample(node).last_write_age = Some(Duration::from_millis(age));
        }
    }

    #[test]
    fn write_pause_needs_all_nodes_overdue() {
        let mut trial = TrialCluster::new();
        for ages in [
            [50, 100, 150],
            [250, 300, 350],
            [450, 500, 550],
            [650, 700, 590],
        ] {
            write_ages(&mut trial, ages);
            assert_eq!(trial.next(), [""; 0], "{ages:?}");
        }
        write_ages(&mut trial, [850, 900, 790]);
        assert_eq!(
            trial.next(),
            [
                "raised store_not_writable (store): store confirmed no write for 790 ms while \
                 reads pass \
              (node-1 850 ms, node-2 900 ms, node-3 790 ms), allowed 600 ms"
            ]
        );
        write_ages(&mut trial, [1050, 20, 990]);
        assert_eq!(trial.next_names(), ["cleared store_not_writable"]);
    }

    #[test]
    fn one_cut_off_node_proves_no_pause() {
        let mut trial = TrialCluster::new();
        for age in [500, 700, 900, 5_000] {
            write_ages(&mut trial, [50, 100, age]);
            assert_eq!(trial.next(), [""; 0], "{age}");
        }
    }

    #[test]
    fn node_without_reads_is_no_evidence() {
        let mut trial = TrialCluster::new();
        for age in [400, 600, 800, 1_000, 1_200] {
            write_ages(&mut trial, [age; 3]);
            for node in 0..3 {
                trial.sample(node).store_connected = false;
            }
            assert_eq!(trial.next(), [""; 0], "{age}");
        }
    }

    #[test]
    fn returning_store_gets_time_for_a_write() {
        let mut trial = TrialCluster::new();
        assert_eq!(trial.next(), [""; 0]);
        trial.lose_store();
        for _ in 0..10 {
            trial.next();
        }
        trial.return_store();
        write_ages(&mut trial, [2_200; 3]);
        assert_eq!(
            trial.next_names(),
            ["cleared redis_disconnected"],
            "reads pass, the first write is under way"
        );
        write_ages(&mut trial, [2_400; 3]);
        assert_eq!(trial.next(), [""; 0]);
        write_ages(&mut trial, [2_600; 3]);
        assert_eq!(trial.next(), [""; 0]);
        write_ages(&mut trial, [2_800; 3]);
        assert_eq!(
            trial.next_names(),
            ["raised store_not_writable"],
            "no write in 3 sync intervals of reads"
        );
    }

    #[test]
    fn nodes_that_stall_show_nothing_about_writes() {
        let mut trial = TrialCluster::new();
        for _ in 0..10 {
            assert_eq!(trial.next(), [""; 0]);
        }
        // Frozen for 480 ms just after a round, so that the next one waits for 280 ms of it.
        trial.stall(1);
        write_ages(&mut trial, [680, 650, 640]);
        for node in 0..3 {
            trial.sample(node).latency = Duration::from_millis(280);
        }
        assert_eq!(trial.next(), [""; 0], "the nodes could not have written");
        for node in 0..3 {
            trial.sample(node).latency = Duration::from_millis(1);
        }
        write_ages(&mut trial, [50; 3]);
        assert_eq!(trial.next(), [""; 0]);
    }

    #[test]
    fn a_machine_that_stalls_between_rounds_raises_nothing() {
        let mut trial = TrialCluster::new();
        for _ in 0..10 {
            assert_eq!(trial.next(), [""; 0]);
        }
        trial.stall(6);
        write_ages(&mut trial, [1_300; 3]);
        assert_eq!(
            trial.next(),
            [""; 0],
            "nodes and observer stood still alike"
        );
        write_ages(&mut trial, [50; 3]);
        assert_eq!(trial.next(), [""; 0]);
    }

    #[test]
    fn a_slow_observer_sees_a_write_pause() {
        let mut trial = TrialCluster::new();
        for round in 0..4 {
            write_ages(&mut trial, [1_200 + round * 1_200; 3]);
            trial.stall(5);
            trial.next();
        }
        assert_eq!(trial.active(), ["store_not_writable"]);
    }

    #[test]
    fn starting_node_is_not_overdue() {
        let mut trial = TrialCluster::new();
        for _ in 0..5 {
            let start = trial.now_us() + 150_000;
            for node in 0..3 {
                trial.sample(node).last_write_age = None;
                trial.sample(node).started_at_us = start;
            }
            assert_eq!(trial.next(), [""; 0]);
        }
    }

    #[test]
    fn nothing_ends_while_the_store_cannot_be_read() {
        let mut trial = TrialCluster::new();
        for age in [200, 400, 600, 800] {
            write_ages(&mut trial, [age; 3]);
            trial.next();
        }
        assert_eq!(trial.active(), ["store_not_writable"]);
        trial.lose_store();
        trial.next();
        assert_eq!(trial.active(), ["redis_disconnected", "store_not_writable"]);
    }
}
