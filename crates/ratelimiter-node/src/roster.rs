use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use ratelimiter_api::layout::Heartbeat;
use ratelimiter_api::{NodeEntry, NodeId, NodeList, NodeState};

use crate::clock::micros;

/// A node silent for this long is removed from the store.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// Heartbeats of this node after which another process under its id, unless found again, is taken
/// to be gone.
const FADES_AFTER: u32 = 15;
/// Heartbeats of such a process between two warnings.
const WARN_EVERY: u32 = 100;

/// The nodes of the cluster, as of the last refresh.
///
/// A peer's silence is measured in heartbeats of this node: how many of its own the store has
/// confirmed since it last saw a new one of the peer. While the store takes no writes it confirms
/// none, and no peer is suspected; nor is one just after, since it has as many intervals for a new
/// heartbeat as ever.
#[derive(Debug)]
pub(crate) struct NodeRoster {
    interval: Duration,
    /// This process, among all that ever had its node id.
    boot: String,
    peers: Mutex<KnownPeers>,
}

#[derive(Debug, Default)]
struct KnownPeers {
    peers: Vec<PeerNode>,
    /// Heartbeats of this node that the store has confirmed.
    beats: u32,
    /// When the last of them was sent, microseconds on the store's clock.
    own_us: u64,
    duplicate: Option<DuplicateNode>,
}

/// Another process that beats under this node's id.
#[derive(Debug)]
struct DuplicateNode {
    address: String,
    /// Its heartbeats that were found in place of this node's own.
    found: u32,
    /// Confirmed heartbeats of this node when the last of them was found.
    at: u32,
}

impl KnownPeers {
    /// A heartbeat of another process was in the place of this node's own. A single one may be the
    /// last of a process that this one replaced, delayed on its way.
    fn found(&mut self, address: String) {
        let before = self
            .duplicate
            .take()
            .filter(|other| self.beats - other.at < FADES_AFTER);
        let found = before.map_or(1, |other| other.found.saturating_add(1));
        if found % WARN_EVERY == 2 {
            tracing::error!(%address, "another process has this node's id: each admits as a node \
                of its own; give every node an --id");
        }
        self.duplicate = Some(DuplicateNode {
            address,
            found,
            at: self.beats,
        });
    }
}

#[derive(Debug)]
struct PeerNode {
    id: NodeId,
    beat: Heartbeat,
    /// How many heartbeats of this node had been confirmed when this one of the peer was new.
    seen_at: u32,
}

impl NodeRoster {
    pub(crate) fn new(interval: Duration, boot: String) -> Self {
        Self {
            interval,
            boot,
            peers: Mutex::default(),
        }
    }

    /// The store has confirmed this node's heartbeat, which replaced another.
    pub(crate) fn confirmed(&self, at_us: u64, replaced: Option<Heartbeat>) {
        let mut known = self.peers.lock();
        // The first replaces the last heartbeat of the process before this one.
        if known.beats > 0
            && let Some(other) = replaced.filter(|beat| beat.boot != self.boot)
        {
            known.found(other.address);
        }
        known.beats = known.beats.saturating_add(1);
        known.own_us = at_us;
    }

    /// The address of another process that beats under this node's id.
    pub(crate) fn duplicate(&self) -> Option<String> {
        let known = self.peers.lock();
        known
            .duplicate
            .as_ref()
            .filter(|other| other.found > 1 && known.beats - other.at < FADES_AFTER)
            .map(|other| other.address.clone())
    }

    /// The store holds these heartbeats.
    pub(crate) fn read(&self, mut heartbeats: Vec<(NodeId, Heartbeat)>) {
        heartbeats.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut known = self.peers.lock();
        let before: HashMap<_, _> = std::mem::take(&mut known.peers)
            .into_iter()
            .map(|p| (p.id, (p.beat, p.seen_at)))
            .collect();
        let peer = |(id, beat): (NodeId, Heartbeat)| {
            let seen_at = match before.get(&id) {
                Some((last, seen_at)) if *last == beat => *seen_at,
                _ => known.beats,
            };
            PeerNode { id, beat, seen_at }
        };
        known.peers = heartbeats.into_iter().map(peer).collect();
    }

    /// Every node and its state.
    pub(crate) fn nodes(&self) -> NodeList {
        let known = self.peers.lock();
        let entry = |peer: &PeerNode| NodeEntry {
            id: peer.id.clone(),
            address: peer.beat.address.clone(),
            also_at: peer.beat.also_at.clone(),
            state: self.state(peer, &known),
        };
        NodeList {
            nodes: known.peers.iter().map(entry).collect(),
        }
    }

    fn state(&self, peer: &PeerNode, known: &KnownPeers) -> NodeState {
        let missing = known.beats.saturating_sub(peer.seen_at);
        NodeState::of_heartbeat(self.interval.saturating_mul(missing), self.interval)
    }

    /// Nodes to be removed from the store.
    pub(crate) fn gone(&self) -> Vec<NodeId> {
        let known = self.peers.lock();
        let gone = |peer: &&PeerNode| {
            self.state(peer, &known) == NodeState::Down
                && known.own_us.saturating_sub(peer.beat.at_us) > micros(FORGET_AFTER)
        };
        known
            .peers
            .iter()
            .filter(gone)
            .map(|peer| peer.id.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn beat(id: &str, at_us: u64) -> (NodeId, Heartbeat) {
        (
            NodeId::from(id),
            Heartbeat {
                address: "a:1".into(),
                boot: "b".into(),
                also_at: None,
                at_us,
            },
        )
    }

    fn state_of(roster: &NodeRoster, id: &str) -> NodeState {
        roster
            .nodes()
            .nodes
            .iter()
            .find(|n| n.id == NodeId::from(id))
            .unwrap()
            .state
    }

    fn roster() -> NodeRoster {
        let roster = NodeRoster::new(Duration::from_millis(200), "b".into());
        roster.confirmed(100 * S, None);
        roster.read(vec![beat("me", 100 * S), beat("peer", 100 * S)]);
        roster
    }

    #[test]
    fn a_silent_node_is_suspect_then_down() {
        let roster = roster();
        let mut states = Vec::new();
        for i in 1..=16 {
            let now = 100 * S + i * 200_000;
            roster.confirmed(now, None);
            roster.read(vec![beat("me", now), beat("peer", 100 * S)]);
            states.push(state_of(&roster, "peer"));
            assert_eq!(state_of(&roster, "me"), NodeState::Up);
        }
        let (up, suspect) = (
            states.iter().position(|s| *s != NodeState::Up),
            &states[5..15],
        );
        assert_eq!(up, Some(5), "{states:?}");
        assert!(
            suspect.iter().all(|s| *s == NodeState::Suspect),
            "{states:?}"
        );
        assert_eq!(states[15], NodeState::Down);
        roster.read(vec![beat("peer", 105 * S)]);
        assert_eq!(state_of(&roster, "peer"), NodeState::Up);
    }

    #[test]
    fn a_write_pause_makes_no_node_suspect() {
        let roster = roster();
        roster.read(vec![beat("me", 100 * S), beat("peer", 100 * S)]);
        assert_eq!(state_of(&roster, "peer"), NodeState::Up);
        // Writes pass again after a minute, and this node's heartbeat is the first.
        roster.confirmed(160 * S, None);
        roster.read(vec![beat("me", 160 * S), beat("peer", 100 * S)]);
        assert_eq!(state_of(&roster, "peer"), NodeState::Up);
    }

    #[test]
    fn a_node_silent_for_ten_minutes_is_forgotten() {
        let roster = roster();
        roster.confirmed(1000 * S, None);
        assert_eq!(roster.gone(), []);
        (0..20).for_each(|i| roster.confirmed(1000 * S + i, None));
        roster.read(vec![beat("me", 1000 * S), beat("peer", 100 * S)]);
        assert_eq!(roster.gone(), [NodeId::from("peer")]);
    }

    #[test]
    fn another_process_under_the_id_is_found() {
        let roster = NodeRoster::new(Duration::from_millis(200), "mine".into());
        let other = |boot: &str| {
            Some(Heartbeat {
                address: "b:2".into(),
                boot: boot.into(),
                also_at: None,
                at_us: 0,
            })
        };
        roster.confirmed(1, other("before a restart"));
        roster.confirmed(2, other("mine"));
        roster.confirmed(3, other("late"));
        assert_eq!(roster.duplicate(), None, "one may be late");
        roster.confirmed(4, other("late"));
        assert_eq!(roster.duplicate().as_deref(), Some("b:2"));
        (0..20).for_each(|i| roster.confirmed(5 + i, other("mine")));
        assert_eq!(roster.duplicate(), None, "it is gone");
    }
}
