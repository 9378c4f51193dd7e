use std::collections::BTreeMap;
use std::fmt;

use ratelimiter_api::NodeId;
use serde::Serialize;

use super::judgement::{Condition, Judgement};
use crate::Subject;
use crate::basis::Basis;
use crate::text::ByNode;

/// The store does not answer a read.
///
/// **Condition**: the observer's own read of the store failed in this round. No grace, critical.
///
/// **No false alarm**: here the missing sample is the very condition. Reads pass while a store
/// merely takes no writes; that is [`StoreNotWritable`](super::StoreNotWritable). Whether the nodes
/// still reach the store stands in the evidence: where they do, it is the observer that is cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RedisDisconnected {
    /// Why the read failed.
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

pub(super) fn judge(basis: &Basis<'_>) -> Vec<Judgement<RedisDisconnected>> {
    let condition = if basis.reading.store().is_some() {
        Condition::Intact
    } else {
        Condition::Broken(RedisDisconnected {
            error: basis.reading.store_error().map(str::to_owned),
            node_reads_pass: basis
                .reading
                .samples()
                .map(|(node, sample)| (node.clone(), sample.store_connected))
                .collect(),
        })
    };
    vec![Judgement {
        subject: Subject::Store,
        condition,
    }]
}

#[cfg(test)]
mod tests {
    use crate::trial::Trial;

    #[test]
    fn silent_store_is_reported_until_it_answers() {
        let mut trial = Trial::new();
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
