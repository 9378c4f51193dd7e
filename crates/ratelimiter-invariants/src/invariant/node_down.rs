use std::fmt;

use ratelimiter_api::NodeState;
use serde::Serialize;

use super::{Finding, Verdict};
use crate::monitor::Scene;
use crate::{Evidence, Subject};

/// A node cannot be reached, or its heartbeat is overdue.
///
/// **Condition**, per node: it did not answer the observer in this round, or the store's heartbeats have it
/// [`Down`](NodeState::Down). No grace, critical.
///
/// **No false alarm**: here the missing sample is the very condition, not a gap in it. A heartbeat that is merely
/// [`Suspect`](NodeState::Suspect) or that nobody could read does not count, and its age is measured against the store's
/// last write, so that a store that takes no writes makes no node look dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeDown {
    /// Where the node was asked.
    pub address: String,
    /// How its peers see its heartbeat, as far as anybody knows.
    pub heartbeat: Option<NodeState>,
    /// Whether it answered the observer.
    pub answered: bool,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl fmt::Display for NodeDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.answered { "answers" } else { "does not answer" };
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

pub(super) fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    let nodes = scene.round.nodes.iter();
    nodes
        .map(|(&id, node)| {
            let down = node.sample.is_none() || node.heartbeat == Some(NodeState::Down);
            let verdict = if down {
                Verdict::Broken(Evidence::NodeDown(NodeDown {
                    address: node.address.clone(),
                    heartbeat: node.heartbeat,
                    answered: node.sample.is_some(),
                    error: node.error.clone(),
                }))
            } else {
                Verdict::Intact
            };
            Finding { subject: Subject::Node(id.clone()), verdict }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::story::Story;

    #[test]
    fn a_node_that_stops_answering_is_down_at_once_and_up_again_with_its_first_answer() {
        let mut story = Story::new();
        assert_eq!(story.next(), [""; 0]);
        story.lose_node(1);
        assert_eq!(
            story.next(),
            ["raised node_down (node-2): 127.0.0.1:8002 does not answer (connection refused), heartbeat Up"]
        );
        assert_eq!(story.next(), [""; 0], "what is known is not said again");
        story.return_node(1);
        assert_eq!(story.next_names(), ["cleared node_down"]);
    }

    #[test]
    fn a_node_without_a_heartbeat_is_down_although_it_answers() {
        let mut story = Story::new();
        story.nodes[0].heartbeat = Some(NodeState::Suspect);
        assert_eq!(story.next(), [""; 0]);
        story.nodes[0].heartbeat = None;
        assert_eq!(story.next(), [""; 0]);
        story.nodes[0].heartbeat = Some(NodeState::Down);
        assert_eq!(story.next(), ["raised node_down (node-1): 127.0.0.1:8001 answers, heartbeat Down"]);
    }

    #[test]
    fn a_node_known_by_its_address_only_is_forgotten_when_it_tells_its_name() {
        let mut story = Story::new();
        story.lose_node(2);
        story.nodes[2].node = "127.0.0.1:8003".into();
        assert_eq!(story.next_names(), ["raised node_down"]);
        story.return_node(2);
        story.nodes[2].node = "node-3".into();
        assert_eq!(story.next_names(), ["cleared node_down"]);
        assert_eq!(story.active(), [""; 0]);
    }
}
