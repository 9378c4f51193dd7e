use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};

/// Open files that are not connections of clients: the listener, the store's links, logs, the
/// runtime.
const OTHER_FILES: usize = 64;

/// Bounds on the connections of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionBounds {
    /// Connections served at once.
    pub(crate) total: usize,
    /// Connections served at once of one peer address.
    pub(crate) per_peer: usize,
}

impl ConnectionBounds {
    /// Lowers the bounds to the files that the process may open, less those of the lobby.
    pub(super) fn within_open_files(self, lobby: usize) -> Self {
        let files = getrlimit(Resource::Nofile)
            .current
            .and_then(|n| usize::try_from(n).ok());
        let room = files.map_or(usize::MAX, |files| {
            files.saturating_sub(OTHER_FILES + lobby).max(1)
        });
        if room < self.total {
            tracing::warn!(
                connections = room,
                "fewer connections than configured: the limit of open files is low"
            );
        }
        Self {
            total: self.total.min(room),
            per_peer: self.per_peer.min(room),
        }
    }
}

/// The connections that are served at once, bounded as a whole and for each peer address.
#[derive(Debug)]
pub(crate) struct ConnectionSlots {
    bounds: ConnectionBounds,
    taken: Mutex<SlotsInUse>,
}

#[derive(Debug, Default)]
struct SlotsInUse {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// One slot, free again when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    peer: IpAddr,
}

impl ConnectionSlots {
    pub(crate) fn new(bounds: ConnectionBounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            taken: Mutex::default(),
        })
    }

    /// A slot for a connection from `peer`; none when all slots, or all of this peer's, are
    /// taken.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionSlot> {
        let peer = network(peer);
        let mut taken = self.taken.lock();
        let SlotsInUse { total, by_peer } = &mut *taken;
        let of_peer = by_peer.get(&peer).copied().unwrap_or(0);
        if *total >= self.bounds.total || of_peer >= self.bounds.per_peer {
            return None;
        }
        *total += 1;
        by_peer.insert(peer, of_peer + 1);
        Some(ConnectionSlot {
            slots: Arc::clone(self),
            peer,
        })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        taken.total -= 1;
        if let Some(of_peer) = taken.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

/// The address that a peer is counted by. One IPv6 client usually has a whole /64 of addresses.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(total: usize, per_peer: usize) -> Arc<ConnectionSlots> {
        ConnectionSlots::new(ConnectionBounds { total, per_peer })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_peer_leaves_room_for_others() {
        let slots = slots(3, 2);
        let greedy: Vec<_> = (0..5).filter_map(|_| slots.take(ip("10.0.0.1"))).collect();
        assert_eq!(greedy.len(), 2);
        let other = slots.take(ip("10.0.0.2"));
        assert!(other.is_some());
        assert!(slots.take(ip("10.0.0.3")).is_none(), "all slots are taken");
        drop(greedy);
        assert!(slots.take(ip("10.0.0.1")).is_some());
        drop(other);
        assert!(
            slots.taken.lock().by_peer.is_empty(),
            "addresses are not kept"
        );
    }

    #[test]
    fn addresses_of_one_client_count_together() {
        let slots = slots(10, 1);
        let _first = slots.take(ip("2001:db8::1")).unwrap();
        assert!(slots.take(ip("2001:db8::ffff:2")).is_none(), "the same /64");
        assert!(slots.take(ip("2001:db8:0:1::1")).is_some());
        let _v4 = slots.take(ip("10.0.0.1")).unwrap();
        assert!(
            slots.take(ip("::ffff:10.0.0.1")).is_none(),
            "the same address, mapped"
        );
    }
}
