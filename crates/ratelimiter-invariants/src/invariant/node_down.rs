use std::fmt;

use ratelimiter_api::{NodeId, NodeObservation, NodeState};
use serde::Serialize;

use crate::judgement::{Condition, Judgement, RoundContext};
use crate::numbers::Numbers;
use crate::{Subject, ViolationNumbers};

/// A node cannot be reached, or its heartbeat is overdue.
///
/// **Condition**, per node: it did not answer the observer in this round, or the store's heartbeats
/// have it [`Down`](NodeState::Down). No grace, critical.
///
/// **No false alarm**: here the missing sample is the very condition, not a gap in it. A heartbeat
/// that is merely [`Suspect`](NodeState::Suspect) or that could not be read does not count, and its
/// age is measured against the store's last write: a store that takes no writes makes no node look
/// dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeDown {
    /// The address that was asked.
    pub address: String,
    /// The state of its heartbeat in the store; absent when not known.
    pub heartbeat: Option<NodeState>,
    /// Whether it answered the observer.
    pub answered: bool,
    /// The reason of a missing answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl fmt::Display for NodeDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.answered {
            "answers"
        } else {
            "does not answer"
        };
        write!(f, "{} {verb}", self.address)?;
        if let Some(error) = &self.error {
            write!(f, " ({error})")?;
        }
        match self.heartbeat {
            Some(state) => write!(f, ", heartbeat {state}"),
            None => f.write_str(", heartbeat not known"),
        }
    }
}

impl Numbers for NodeDown {
    fn extent(&self) -> u64 {
        0
    }
}

pub(super) fn judge(context: &RoundContext<'_>) -> Vec<Judgement> {
    let judgement = |(&id, node): (&&NodeId, &&NodeObservation)| {
        let down = node.sample.is_none() || node.heartbeat == Some(NodeState::Down);
        let condition = if down {
            Condition::Broken(ViolationNumbers::NodeDown(NodeDown {
                address: node.address.clone(),
                heartbeat: node.heartbeat,
                answered: node.sample.is_some(),
                error: node.error.clone(),
            }))
        } else {
            Condition::Intact
        };
        Judgement {
            subject: Subject::Node(id.clone()),
            condition,
        }
    };
    context.round.nodes().iter().map(judgement).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TrialCluster;

    #[test]
    fn silent_node_is_down_until_it_answers() {
        let mut trial = TrialCluster::new();
        assert_eq!(trial.next(), [""; 0]);
        trial.lose_node(1);
        assert_eq!(
            trial.next(),
            [
                "raised node_down (node-2): 127.0.0.1:8002 does not answer (connection refused), \
                 heartbeat Up"
            ]
        );
        assert_eq!(trial.next(), [""; 0], "what is known is not said again");
        trial.return_node(1);
        assert_eq!(trial.next_names(), ["cleared node_down"]);
    }

    #[test]
    fn answering_node_without_heartbeat_is_down() {
        let mut trial = TrialCluster::new();
        trial.nodes[0].heartbeat = Some(NodeState::Suspect);
        assert_eq!(trial.next(), [""; 0]);
        trial.nodes[0].heartbeat = None;
        assert_eq!(trial.next(), [""; 0]);
        trial.nodes[0].heartbeat = Some(NodeState::Down);
        assert_eq!(
            trial.next(),
            ["raised node_down (node-1): 127.0.0.1:8001 answers, heartbeat Down"]
        );
    }

    #[test]
    fn address_gives_way_to_the_nodes_name() {
        let mut trial = TrialCluster::new();
        trial.lose_node(2);
        trial.nodes[2].node = "127.0.0.1:8003".into();
        assert_eq!(trial.next_names(), ["raised node_down"]);
        trial.return_node(2);
        trial.nodes[2].node = "node-3".into();
        assert_eq!(trial.next_names(), ["cleared node_down"]);
        assert_eq!(trial.active(), [""; 0]);
    }
}
