use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ratelimiter_api::layout::Heartbeat;
use ratelimiter_api::{NodeEntry, NodeId, NodeState, Nodes};

use crate::clock::micros;

/// A node silent for this long is removed from the store.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// Who else is there, as of the last refresh.
#[derive(Debug)]
pub(crate) struct Roster {
    interval: Duration,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    heartbeats: Vec<(NodeId, Heartbeat)>,
    /// The last instant at which a heartbeat could have arrived and been read, microseconds on the store's clock.
    as_of_us: u64,
    /// When the store last confirmed this node's own heartbeat, likewise.
    own_us: u64,
}

impl Roster {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, known: Mutex::default() }
    }

    /// The store has confirmed this node's heartbeat.
    pub(crate) fn confirmed(&self, at_us: u64) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).own_us = at_us;
    }

    /// The store holds these heartbeats at `at_us`.
    pub(crate) fn read(&self, mut heartbeats: Vec<(NodeId, Heartbeat)>, at_us: u64) {
        heartbeats.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // While this node's own heartbeats do not arrive, a peer's missing one is no evidence about the peer.
        let overdue = known.own_us + micros(self.interval * 3) < at_us;
        known.as_of_us = if overdue { known.own_us } else { at_us };
        known.heartbeats = heartbeats;
    }

    /// Every node and its state.
    pub(crate) fn nodes(&self) -> Nodes {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = known.heartbeats.iter().map(|(id, beat)| NodeEntry {
            id: id.clone(),
            address: beat.address.clone(),
            state: NodeState::of_heartbeat(
                Duration::from_micros(known.as_of_us.saturating_sub(beat.at_us)),
                self.interval,
            ),
        });
        Nodes { nodes: nodes.collect() }
    }

    /// Nodes to be removed from the store.
    pub(crate) fn gone(&self) -> Vec<NodeId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |beat: &Heartbeat| known.as_of_us.saturating_sub(beat.at_us) > micros(FORGET_AFTER);
        known.heartbeats.iter().filter(|(_, beat)| old(beat)).map(|(id, _)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn beat(id: &str, at_us: u64) -> (NodeId, Heartbeat) {
        (NodeId::from(id), Heartbeat { address: "a:1".into(), boot: "b".into(), at_us })
    }

    fn state_of(roster: &Roster, id: &str) -> NodeState {
        roster.nodes().nodes.iter().find(|n| n.id == NodeId::from(id)).unwrap().state
    }

    #[test]
    fn a_silent_node_is_suspect_and_then_down() {
        let roster = Roster::new(Duration::from_millis(200));
        for (now, state) in [(100, NodeState::Up), (102, NodeState::Suspect), (104, NodeState::Down)] {
            roster.confirmed(now * S);
            roster.read(vec![beat("me", now * S), beat("peer", 100 * S)], now * S);
            assert_eq!(state_of(&roster, "peer"), state, "after {} s", now - 100);
        }
    }

    #[test]
    fn while_no_heartbeat_can_arrive_nobody_is_suspected() {
        let roster = Roster::new(Duration::from_millis(200));
        roster.confirmed(100 * S);
        roster.read(vec![beat("me", 100 * S), beat("peer", 100 * S)], 110 * S);
        assert_eq!(state_of(&roster, "peer"), NodeState::Up);
    }

    #[test]
    fn a_node_silent_for_ten_minutes_is_forgotten() {
        let roster = Roster::new(Duration::from_millis(200));
        roster.confirmed(1000 * S);
        roster.read(vec![beat("me", 1000 * S), beat("old", 100 * S)], 1000 * S);
        assert_eq!(roster.gone(), [NodeId::from("old")]);
    }
}
