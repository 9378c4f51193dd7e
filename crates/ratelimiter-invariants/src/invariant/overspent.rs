use std::collections::BTreeMap;
use std::fmt;

use ratelimiter_api::{Key, Limit, NodeId};
use serde::Serialize;

use crate::judgement::{Condition, RoundContext};
use crate::numbers::Numbers;
use crate::text::ByNode;
use crate::{KeyReading, ViolationNumbers};

/// The nodes made more admissions from their grants than the store charged for them.
///
/// **Condition**, per leased key: the nodes' admissions in one window that a grant covers are more
/// than the charges of all grants that can hold an admission of it. No grace, no tolerance;
/// critical.
///
/// **No false alarm**: a grant is charged before it can be spent, and a settlement leaves at least
/// the spent part. A node dates an admission between the giving of its grant and the present: when
/// the admission is in the window, the grant is counted for it. A node that does not
/// answer makes the sum smaller, which never raises and never clears. The store is read after the
/// nodes: grants of the meantime only make it count more.
///
/// It is broken by a store that lost grants which are still spent, and ends when the nodes have
/// recalled them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overspent {
    /// Admissions of each node that answered, in the window and from grants.
    pub nodes: BTreeMap<NodeId, u64>,
    /// Sum of these.
    pub admitted: u64,
    /// Sum of the charges in the store.
    pub charged: u64,
    /// The limit; the largest while a change travels.
    #[serde(flatten)]
    pub limit: Limit,
    /// The counter's epoch.
    pub epoch: u64,
}

impl Overspent {
    /// Admissions beyond the charges.
    pub fn excess(&self) -> u64 {
        self.admitted.saturating_sub(self.charged)
    }
}

impl fmt::Display for Overspent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            nodes,
            admitted,
            charged,
            ..
        } = self;
        write!(
            f,
            "nodes spent {admitted} ({}), store charged {charged}: {} too many",
            ByNode(nodes),
            self.excess()
        )
    }
}

impl Numbers for Overspent {
    fn extent(&self) -> u64 {
        self.excess()
    }

    fn condition(&self) -> Option<(u64, i64)> {
        Some((self.epoch, 1))
    }
}

pub(super) fn judge(_: &RoundContext<'_>, _: &Key, counts: &KeyReading) -> Option<Condition> {
    let numbers = Overspent {
        nodes: counts.by_node(|node| node.leased),
        admitted: counts.sum(|node| node.leased),
        charged: counts.grants?.charged,
        limit: counts.limit,
        epoch: counts.epoch,
    };
    Condition::of_sum(ViolationNumbers::Overspent(numbers), counts)
}

#[cfg(test)]
mod tests {
    use crate::tests::TrialCluster;

    #[test]
    fn one_admission_beyond_charges_is_reported_at_once() {
        let mut trial = TrialCluster::new();
        trial.leased([3, 3, 1]).granted(9, 4);
        assert_eq!(trial.next(), [""; 0]);
        trial.leased([3, 3, 4]);
        assert_eq!(
            trial.next(),
            [
                "raised overspent (key k): nodes spent 10 (node-1 3, node-2 3, node-3 4), store \
                 charged 9: 1 too many"
            ]
        );
        trial.lose_node(2);
        trial.next();
        assert!(trial.active().contains(&"overspent"), "a gap ends nothing");
        trial.return_node(2);
        trial.granted(10, 0);
        assert!(trial.next_names().contains(&"cleared overspent".to_owned()));
    }

    #[test]
    fn unspent_charge_is_no_drift() {
        let mut trial = TrialCluster::new();
        trial.limit(100, 60).leased([10, 10, 10]).granted(90, 70);
        for _ in 0..50 {
            assert_eq!(trial.next(), [""; 0]);
        }
        // Settled, and still counted for no admission that a node made.
        trial.granted(90, 0);
        let raised = (0..10).flat_map(|_| trial.next_names()).collect::<Vec<_>>();
        assert_eq!(raised, ["raised counter_drift"]);
    }
}
