use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The connections that are served at once, bounded as a whole and for each peer address.
#[derive(Debug)]
pub(crate) struct Places {
    total: usize,
    per_peer: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// One place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

impl Places {
    pub(crate) fn new(total: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_peer,
            taken: Mutex::default(),
        })
    }

    /// A place for a connection from `peer`; none when all places, or all of this peer's, are
    /// taken.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = network(peer);
        let mut taken = self.taken.lock();
        let Taken { total, by_peer } = &mut *taken;
        let of_peer = by_peer.get(&peer).copied().unwrap_or(0);
        if *total >= self.total || of_peer >= self.per_peer {
            return None;
        }
        *total += 1;
        by_peer.insert(peer, of_peer + 1);
        Some(Place {
            places: Arc::clone(self),
            peer,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_peer_leaves_room_for_others() {
        let places = Places::new(3, 2);
        let greedy: Vec<_> = (0..5).filter_map(|_| places.take(ip("10.0.0.1"))).collect();
        assert_eq!(greedy.len(), 2);
        let other = places.take(ip("10.0.0.2"));
        assert!(other.is_some());
        assert!(
            places.take(ip("10.0.0.3")).is_none(),
            "all places are taken"
        );
        drop(greedy);
        assert!(places.take(ip("10.0.0.1")).is_some());
        drop(other);
        assert!(
            places.taken.lock().by_peer.is_empty(),
            "addresses are not kept"
        );
    }

    #[test]
    fn addresses_of_one_client_count_together() {
        let places = Places::new(10, 1);
        let _first = places.take(ip("2001:db8::1")).unwrap();
        assert!(
            places.take(ip("2001:db8::ffff:2")).is_none(),
            "the same /64"
        );
        assert!(places.take(ip("2001:db8:0:1::1")).is_some());
        let _v4 = places.take(ip("10.0.0.1")).unwrap();
        assert!(
            places.take(ip("::ffff:10.0.0.1")).is_none(),
            "the same address, mapped"
        );
    }
}
