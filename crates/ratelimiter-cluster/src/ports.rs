use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};

/// Below the range from which Linux (32768) and macOS (49152) take the ports of outgoing
/// connections. Otherwise a node that tries to reach a store that is down could get the store's own
/// port, and keep it.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// Different free loopback ports, chosen at random so that clusters starting together seldom meet.
pub(crate) fn free(how_many: usize) -> Vec<u16> {
    let mut ports = HashSet::new();
    std::iter::repeat_with(|| fastrand::u16(FIRST..FIRST + COUNT))
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .filter(|port| ports.insert(*port))
        .take(how_many)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_never_outgoing_ones() {
        let ports = free(8);
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 8);
        let listeners: Vec<_> = ports
            .iter()
            .map(|p| TcpListener::bind(("127.0.0.1", *p)).unwrap())
            .collect();
        assert!(ports.iter().all(|p| (FIRST..FIRST + COUNT).contains(p)));
        assert!(free(8).iter().all(|p| !ports.contains(p)));
        drop(listeners);
    }
}
