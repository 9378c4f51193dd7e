use std::collections::BTreeMap;
use std::fmt;

use ratelimiter_api::{Key, Limit, NodeId};
use serde::Serialize;

use crate::judgement::{Condition, RoundContext};
use crate::numbers::Numbers;
use crate::text::{ByNode, MissingNodes};
use crate::{KeyReading, ViolationNumbers};

/// The nodes admitted more than the limit allows.
///
/// **Condition**, per key: the sum of the nodes' own admissions in one window is above the limit.
/// No grace, critical.
///
/// **No false alarm**: all nodes count the same span of one window's length, from their own logs,
/// so every admission in the sum was granted inside it. A sum that lacks a node, or the part of the
/// window before a node's start, can only be too small: it may raise, and it never clears. The
/// limit is the largest that any of these admissions may have been granted under, as for
/// [`OverLimit`](super::OverLimit), with the same exceptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GhostAllowing {
    /// Admissions in the window of each node that answered.
    pub nodes: BTreeMap<NodeId, u64>,
    /// Nodes that did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<NodeId>,
    /// Admissions of these nodes together.
    pub admitted: u64,
    /// The largest limit that holds for any part of the window.
    #[serde(flatten)]
    pub limit: Limit,
    /// The counter's epoch.
    pub epoch: u64,
}

impl GhostAllowing {
    /// Admissions beyond the limit.
    pub fn excess(&self) -> u64 {
        self.admitted.saturating_sub(self.limit.admissions().into())
    }
}

impl fmt::Display for GhostAllowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nodes admitted {} ({}{}), limit {}: {} too many",
            self.admitted,
            ByNode(&self.nodes),
            MissingNodes(&self.missing),
            self.limit,
            self.excess()
        )
    }
}

impl Numbers for GhostAllowing {
    fn extent(&self) -> u64 {
        self.excess()
    }

    fn condition(&self) -> Option<(u64, i64)> {
        Some((self.epoch, 1))
    }
}

pub(super) fn judge(
    context: &RoundContext<'_>,
    key: &Key,
    counts: &KeyReading,
) -> Option<Condition> {
    let numbers = GhostAllowing {
        nodes: counts.by_node(|node| node.admissions),
        missing: counts.missing.clone(),
        admitted: counts.admitted(),
        limit: context.memory.limit(key, counts)?,
        epoch: counts.epoch,
    };
    Condition::of_sum(ViolationNumbers::GhostAllowing(numbers), counts)
}

#[cfg(test)]
mod tests {
    use crate::ViolationNumbers;
    use crate::tests::TrialCluster;

    #[test]
    fn burst_admitted_everywhere_is_seen_next_round() {
        let mut trial = TrialCluster::new();
        assert_eq!(trial.next(), [""; 0]);
        trial.admitted([7, 7, 6]);
        assert_eq!(
            trial.next(),
            [
                "raised ghost_allowing (key k): nodes admitted 20 (node-1 7, node-2 7, node-3 6), \
                 limit 10 per 60 s: \
              10 too many"
            ]
        );
        trial.admitted([7, 7, 9]).shared(23);
        assert_eq!(
            trial.next_names(),
            ["raised over_limit"],
            "the counts reach the store"
        );
        trial.admitted([3, 3, 3]).shared(9);
        assert_eq!(
            trial.next_names(),
            ["cleared over_limit", "cleared ghost_allowing"]
        );
    }

    #[test]
    fn one_excess_admission_is_enough() {
        let mut trial = TrialCluster::new();
        trial.admitted([10, 0, 0]).shared(10);
        assert_eq!(trial.next(), [""; 0]);
        trial.admitted([10, 0, 1]);
        assert_eq!(trial.next_names(), ["raised ghost_allowing"]);
    }

    #[test]
    fn missing_node_neither_raises_nor_clears() {
        let mut trial = TrialCluster::new();
        trial.admitted([8, 3, 9]).shared(10);
        trial.lose_node(2);
        assert_eq!(
            trial.next_names(),
            ["raised node_down", "raised ghost_allowing"]
        );
        trial.lose_node(1);
        assert_eq!(
            trial.next_names(),
            ["raised node_down"],
            "8 of 10 by one node is not the all-clear"
        );
        assert_eq!(trial.active(), ["node_down", "node_down", "ghost_allowing"]);
        let ghost = trial.monitor.active().last().unwrap();
        assert!(
            ghost
                .to_string()
                .contains("nodes admitted 11 (node-1 8, node-2 3, node-3 missing)"),
            "{ghost}"
        );
    }

    #[test]
    fn restarted_nodes_clear_nothing_within_a_window() {
        let mut trial = TrialCluster::new();
        trial.limit(10, 2).admitted([7, 7, 6]).shared(20);
        assert_eq!(
            trial.next_names(),
            ["raised over_limit", "raised ghost_allowing"]
        );
        let restarted = trial.now_us();
        for node in 0..3 {
            trial.sample(node).started_at_us = restarted;
        }
        trial.admitted([0, 0, 0]);
        while trial.now_us() + 200_000 < restarted + 2_000_000 {
            trial.next();
            assert!(
                trial.active().contains(&"ghost_allowing"),
                "the store still counts 20"
            );
        }
        trial.shared(0);
        assert!(
            trial
                .next_names()
                .contains(&"cleared ghost_allowing".to_owned())
        );
    }

    #[test]
    fn without_a_store_the_nodes_limit_counts() {
        let mut trial = TrialCluster::new();
        trial.lose_store();
        trial.admitted([6, 5, 0]);
        assert_eq!(
            trial.next_names(),
            ["raised redis_disconnected", "raised ghost_allowing"]
        );
    }

    #[test]
    fn one_node_asked_at_two_endpoints_counts_once() {
        let mut trial = TrialCluster::new();
        trial.admitted([6, 1, 1]).shared(8);
        let mut twin = trial.nodes[0].clone();
        twin.address = "localhost:8001".to_owned();
        trial.nodes.push(twin);
        assert_eq!(trial.next(), [""; 0]);
    }

    #[test]
    fn the_peak_is_remembered() {
        let mut trial = TrialCluster::new();
        for admitted in [12, 20, 15] {
            trial.admitted([admitted, 0, 0]).shared(10);
            trial.next();
        }
        let violation = trial.monitor.active().next().unwrap();
        let admitted = |numbers: &ViolationNumbers| match numbers {
            ViolationNumbers::GhostAllowing(ghost) => ghost.admitted,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (admitted(&violation.peak), admitted(&violation.evidence)),
            (20, 15)
        );
    }
}
