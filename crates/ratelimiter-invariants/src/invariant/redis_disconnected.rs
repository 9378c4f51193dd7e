use std::collections::BTreeMap;
use std::fmt;

use ratelimiter_api::NodeId;
use serde::Serialize;

use crate::judgement::{Condition, Judgement, RoundContext};
use crate::numbers::Numbers;
use crate::text::ByNode;
use crate::{Subject, ViolationNumbers};

/// The store does not answer a read.
///
/// **Condition**: the observer's own read of the store failed in this round. No grace, critical.
///
/// **No false alarm**: here the missing sample is the very condition. Reads pass while a store
/// merely takes no writes; that is [`StoreNotWritable`](super::StoreNotWritable). Whether the nodes
/// still reach the store stands in the evidence: where they do, it is the observer that is cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RedisDisconnected {
    /// The reason of the failed read.
    pub error: Option<String>,
    /// Whether each node that answered can read from the store.
    pub node_reads_pass: BTreeMap<NodeId, bool>,
}

impl fmt::Display for RedisDisconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.error.as_deref().unwrap_or("no reason given");
        write!(f, "store does not answer reads ({error})")?;
        if self.node_reads_pass.is_empty() {
            return f.write_str(", no node could be asked");
        }
        let words: BTreeMap<_, _> = self
            .node_reads_pass
            .iter()
            .map(|(node, &passes)| (node.clone(), if passes { "pass" } else { "fail" }))
            .collect();
        write!(f, ", the nodes' reads: {}", ByNode(&words))
    }
}

impl Numbers for RedisDisconnected {
    fn extent(&self) -> u64 {
        0
    }
}

pub(super) fn judge(context: &RoundContext<'_>) -> Vec<Judgement> {
    let observation = context.round.observation;
    let samples = context.round.samples();
    let condition = if observation.store.is_some() {
        Condition::Intact
    } else {
        Condition::Broken(ViolationNumbers::RedisDisconnected(RedisDisconnected {
            error: observation.store_error.clone(),
            node_reads_pass: samples
                .map(|(node, sample)| (node.clone(), sample.store_connected))
                .collect(),
        }))
    };
    vec![Judgement {
        subject: Subject::Store,
        condition,
    }]
}

#[cfg(test)]
mod tests {
    use crate::tests::TrialCluster;

    #[test]
    fn silent_store_is_reported_until_it_answers() {
        let mut trial = TrialCluster::new();
        assert_eq!(trial.next(), [""; 0]);
        trial.lose_store();
        trial.sample(0).store_connected = false;
        trial.lose_node(2);
        assert_eq!(
            trial.next(),
            [
                "raised node_down (node-3): 127.0.0.1:8003 does not answer (connection refused), \
                 heartbeat Up",
                "raised redis_disconnected (store): store does not answer reads (read timed out), \
                 the nodes' reads: node-1 fail, node-2 pass",
            ]
        );
        trial.return_store();
        assert_eq!(trial.next_names(), ["cleared redis_disconnected"]);
    }
}
