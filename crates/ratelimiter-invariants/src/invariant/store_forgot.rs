use std::collections::BTreeMap;
use std::fmt;

use ratelimiter_api::{Key, Limit, NodeId};
use serde::Serialize;

use crate::judgement::{Condition, RoundContext};
use crate::numbers::Numbers;
use crate::text::ByNode;
use crate::{KeyReading, ViolationNumbers};

/// The store confirmed admissions and does not hold them any more.
///
/// A failover that promotes a replica which lags behind, a restart without persistence and an
/// eviction have this in common: the store answers, and counts too little.
///
/// **Condition**, per key: the nodes have found admissions of one window that the store had
/// confirmed and lost. No grace, no tolerance; critical. A store that counts less than the nodes
/// for another reason is a [`CounterDrift`](crate::CounterDrift).
///
/// ```text
///   node     admits, store confirms     asks for each of them      sends the missing ones again
///              o o o o o o o  <- 7        o o o . . . .  <- 4 lost    o o o o o o o
///   store ---- 7 ------------------x----- 3 -------------------------- 7 ---------------->
///                              failover      raised: 4               until they leave the window
/// ```
///
/// **No false alarm**: an admission has a name, and a node lists one as lost only when the store,
/// asked for that name, does not have it after it was confirmed and while it is in the window. A
/// node that does not answer makes the number smaller, which never raises and never clears.
///
/// It ends when the lost admissions have left the window: until then the others may have been
/// admitted in their place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreForgot {
    /// Admissions of each node that answered, in the window, that the store had confirmed and lost.
    pub nodes: BTreeMap<NodeId, u64>,
    /// Sum of these.
    pub lost: u64,
    /// Admissions in the window that the nodes have yet to send, or to send again.
    pub unsynced: u64,
    /// Admissions in the window that the store counts; absent where it could not be asked.
    pub shared: Option<u64>,
    /// The limit; the largest while a change travels.
    #[serde(flatten)]
    pub limit: Limit,
    /// The counter's epoch.
    pub epoch: u64,
}

impl fmt::Display for StoreForgot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            nodes,
            lost,
            unsynced,
            shared,
            ..
        } = self;
        write!(
            f,
            "store lost {lost} admissions that it had confirmed ({})",
            ByNode(nodes)
        )?;
        match (unsynced, shared) {
            (0, Some(shared)) => write!(f, "; it was sent all of them again and counts {shared}"),
            (0, None) => f.write_str("; it was sent all of them again"),
            (_, _) => write!(f, "; {unsynced} admissions are still to be sent"),
        }
    }
}

impl Numbers for StoreForgot {
    fn extent(&self) -> u64 {
        self.lost
    }

    fn condition(&self) -> Option<(u64, i64)> {
        Some((self.epoch, 1))
    }
}

pub(super) fn judge(_: &RoundContext<'_>, _: &Key, counts: &KeyReading) -> Option<Condition> {
    let numbers = StoreForgot {
        nodes: counts.by_node(|node| node.lost),
        lost: counts.sum(|node| node.lost),
        unsynced: counts.sum(|node| node.unsynced),
        shared: counts.shared,
        limit: counts.limit,
        epoch: counts.epoch,
    };
    Condition::of_sum(ViolationNumbers::StoreForgot(numbers), counts)
}

#[cfg(test)]
mod tests {
    use crate::tests::TrialCluster;

    #[test]
    fn lost_admissions_are_counted_until_they_leave() {
        let mut trial = TrialCluster::new();
        trial.admitted([3, 3, 1]).shared(7);
        assert_eq!(trial.next(), [""; 0]);
        // A replica without the last four was promoted; two nodes have found theirs.
        trial.shared(3).unsynced([2, 2, 0]).lost([2, 2, 0]);
        assert_eq!(
            trial.next(),
            [
                "raised store_forgot (key k): store lost 4 admissions that it had confirmed \
                 (node-1 2, node-2 2, node-3 0); \
                 4 admissions are still to be sent"
            ]
        );
        trial.shared(7).unsynced([0, 0, 0]);
        assert_eq!(trial.next(), [""; 0]);
        let latest = trial
            .monitor
            .active()
            .next()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(
            latest.ends_with("it was sent all of them again and counts 7"),
            "{latest}"
        );
        assert!(
            trial.active().contains(&"store_forgot"),
            "they are in the window still"
        );
        trial.admitted([1, 1, 1]).shared(3).lost([0, 0, 0]);
        assert_eq!(trial.next_names(), ["cleared store_forgot"]);
    }

    #[test]
    fn unsent_admissions_are_not_lost() {
        let mut trial = TrialCluster::new();
        trial.admitted([3, 3, 1]).unsynced([1, 0, 1]).shared(5);
        assert_eq!(trial.next(), [""; 0]);
        trial.lost([0, 3, 0]);
        assert_eq!(trial.next_names(), ["raised store_forgot"]);
        trial.lose_node(1);
        trial.next();
        assert!(
            trial.active().contains(&"store_forgot"),
            "a gap ends nothing"
        );
    }
}
