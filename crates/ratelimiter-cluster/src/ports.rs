use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Below the range from which Linux (32768) and macOS (49152) take the ports of outgoing
/// connections. Otherwise a node that tries to reach a store that is down could get the store's own
/// port, and keep it.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// Free loopback ports, which no other cluster on this machine chooses while this value lives.
///
/// The reservation is a UDP socket on each: TCP has its own ports, and an end in any way releases
/// it. Without it, a port is free between its choice and the start of its process, and again while
/// a killed store is down. Sentinels that find another cluster's store there take it for theirs,
/// make it a replica and close its connections.
#[derive(Debug)]
pub(crate) struct ReservedPorts {
    pub(crate) numbers: Vec<u16>,
    _reservations: Vec<UdpSocket>,
}

impl ReservedPorts {
    /// `count` different ports, chosen at random.
    pub(crate) fn choose(count: usize) -> Self {
        let reserve = |port: u16| {
            let reservation = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
            let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            is_free.then_some((port, reservation))
        };
        let (numbers, reservations) =
            std::iter::repeat_with(|| fastrand::u16(FIRST..FIRST + COUNT))
                .filter_map(reserve)
                .take(count)
                .unzip();
        Self {
            numbers,
            _reservations: reservations,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ports_are_free_and_never_outgoing_ones() {
        let ports = ReservedPorts::choose(8);
        let numbers: HashSet<_> = ports.numbers.iter().collect();
        assert_eq!(numbers.len(), 8);
        for port in numbers {
            assert!((FIRST..FIRST + COUNT).contains(port));
            assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
        }
    }

    #[test]
    fn a_port_belongs_to_one_cluster() {
        let ports = ReservedPorts::choose(200);
        let others = ReservedPorts::choose(200);
        assert!(
            ports
                .numbers
                .iter()
                .all(|port| !others.numbers.contains(port))
        );
    }
}
