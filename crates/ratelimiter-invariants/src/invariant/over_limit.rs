use std::fmt;

use ratelimiter_api::{Key, Limit};
use serde::Serialize;

use crate::judgement::{Condition, RoundContext};
use crate::numbers::Numbers;
use crate::{KeyReading, ViolationNumbers};

/// The store counts more admissions than the limit allows.
///
/// **Condition**, per key: the shared count of one window is above the limit. No grace, warning.
///
/// **No false alarm**: the count is one range read over one window, so it needs no other sample. It
/// is judged by the largest limit that any of its admissions may have been granted under, so
/// neither a lowered limit nor a raised one that is still on its way to some node breaks it; while
/// a window's length changes nothing is judged, and neither is a key whose counter is being reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OverLimit {
    /// Admissions in the window by the store.
    pub shared: u64,
    /// The largest limit that holds for any part of the window.
    #[serde(flatten)]
    pub limit: Limit,
    /// The counter's epoch.
    pub epoch: u64,
}

impl OverLimit {
    /// Admissions beyond the limit.
    pub fn excess(&self) -> u64 {
        self.shared.saturating_sub(self.limit.admissions().into())
    }
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "store counts {}, limit {}: {} too many",
            self.shared,
            self.limit,
            self.excess()
        )
    }
}

impl Numbers for OverLimit {
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
    Some(Condition::of(ViolationNumbers::OverLimit(OverLimit {
        shared: counts.shared?,
        limit: context.memory.limit(key, counts)?,
        epoch: counts.epoch,
    })))
}

#[cfg(test)]
mod tests {
    use crate::tests::TrialCluster;

    #[test]
    fn count_above_the_limit_raises_at_once() {
        let mut trial = TrialCluster::new();
        trial.shared(10).admitted([4, 3, 3]);
        assert_eq!(trial.next(), [""; 0]);
        trial.shared(11);
        assert_eq!(
            trial.next(),
            ["raised over_limit (key k): store counts 11, limit 10 per 60 s: 1 too many"]
        );
        trial.lose_store();
        trial.next();
        assert_eq!(
            trial.active(),
            ["redis_disconnected", "over_limit"],
            "a gap ends nothing"
        );
        trial.return_store();
        trial.shared(10);
        assert_eq!(
            trial.next_names(),
            ["cleared redis_disconnected", "cleared over_limit"]
        );
    }

    #[test]
    fn admissions_before_a_lowered_limit_are_fine() {
        let mut trial = TrialCluster::new();
        trial.limit(100, 60).shared(80).admitted([30, 30, 20]);
        assert_eq!(trial.next(), [""; 0]);
        trial.limit(10, 60);
        for _ in 0..303 {
            assert_eq!(trial.next(), [""; 0]);
        }
        assert_eq!(
            trial.next_names(),
            ["raised over_limit", "raised ghost_allowing"],
            "60.6 s later all of it must have left the window"
        );
    }

    #[test]
    fn keys_seen_by_turns_keep_their_limit() {
        let mut trial = TrialCluster::new();
        trial.limit(100, 60).shared(80).admitted([30, 30, 20]);
        assert_eq!(trial.next(), [""; 0]);
        assert_eq!(trial.monitor.suspects().count(), 0);
        for _ in 0..100 {
            trial.leave_out_key();
        }
        trial.limit(10, 60);
        assert_eq!(trial.next(), [""; 0], "the limit was 100 within the window");
        trial.shared(101);
        assert_eq!(trial.next_names(), ["raised over_limit"]);
        assert!(trial.monitor.suspects().any(|key| key.as_str() == "k"));
    }

    #[test]
    fn raised_limit_counts_once_shown() {
        let mut trial = TrialCluster::new();
        trial.next();
        trial.node_limit(0, 20, 60);
        trial.shared(18).admitted([18, 0, 0]);
        assert_eq!(trial.next(), [""; 0]);
    }

    #[test]
    fn longer_window_is_judged_after_one_pass() {
        let mut trial = TrialCluster::new();
        trial.limit(10, 1).shared(10).admitted([10, 0, 0]);
        assert_eq!(trial.next(), [""; 0]);
        trial.limit(10, 2).shared(20).admitted([20, 0, 0]);
        for _ in 0..13 {
            assert_eq!(
                trial.next(),
                [""; 0],
                "10 in each of two seconds were allowed"
            );
        }
        assert_eq!(
            trial.next_names(),
            ["raised over_limit", "raised ghost_allowing"]
        );
    }

    #[test]
    fn reset_ends_violations_of_the_old_count() {
        let mut trial = TrialCluster::new();
        trial.shared(12).admitted([4, 4, 4]);
        assert_eq!(
            trial.next_names(),
            ["raised over_limit", "raised ghost_allowing"]
        );
        trial.epoch(2).node_epoch(1, 1);
        trial.next();
        assert_eq!(
            trial.active(),
            ["over_limit", "ghost_allowing"],
            "one node has not heard of it"
        );
        trial.node_epoch(1, 2).shared(0).admitted([0, 0, 0]);
        assert_eq!(
            trial.next_names(),
            ["cleared over_limit", "cleared ghost_allowing"]
        );
    }

    #[test]
    fn nodes_before_a_reset_keep_old_limits() {
        let mut trial = TrialCluster::new();
        trial.limit(20, 60).admitted([6, 6, 6]).shared(18);
        assert_eq!(trial.next(), [""; 0]);
        trial.limit(10, 60).shared_epoch(2).shared(0);
        for node in 0..3 {
            trial.lose_node(node);
        }
        assert_eq!(
            trial.next_names(),
            ["raised node_down"; 3],
            "only the store tells, and it has begun anew"
        );
        for node in 0..3 {
            trial.return_node(node);
        }
        trial.lose_store();
        let changes = trial.next_names();
        assert!(
            !changes.contains(&"raised ghost_allowing".to_owned()),
            "18 of the 20 allowed: {changes:?}"
        );
    }

    #[test]
    fn a_deleted_key_takes_its_violation_with_it() {
        let mut trial = TrialCluster::new();
        trial.shared(12).admitted([4, 4, 4]);
        trial.next();
        trial.delete_key();
        assert_eq!(
            trial.next_names(),
            ["cleared over_limit", "cleared ghost_allowing"]
        );
    }
}
