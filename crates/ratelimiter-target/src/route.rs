//! The route of connections to a site: a socket file, a source address, a header of the PROXY
//! protocol.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use ratelimiter_api::Key;
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};

use crate::cork::Socket;

/// The version of the PROXY protocol, which states a caller's address before the first byte
/// (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl FromStr for ProxyProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(format!(
                "{text:?} is no version of the PROXY protocol: use v1 or v2"
            )),
        }
    }
}

/// The address from which connections come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceAddress {
    /// One of 127.0.0.0/8 for each key. Linux has them all.
    EachKey,
    /// Always the same.
    Fixed(IpAddr),
}

impl FromStr for SourceAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "{ip}" => Ok(Self::EachKey),
            text => text
                .parse()
                .map(Self::Fixed)
                .map_err(|_| format!("{text:?} is neither an IP address nor {{ip}}")),
        }
    }
}

/// The route to a site.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteRoute {
    /// A socket file, instead of host and port.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) source: Option<IpAddr>,
    /// The caller that the PROXY protocol states.
    pub(crate) stated: Option<(ProxyProtocol, Ipv4Addr)>,
}

/// The port that the PROXY protocol states of a caller.
const STATED_PORT: u16 = 40_000;

impl SiteRoute {
    pub(crate) async fn connect(&self, host: &str, port: u16) -> io::Result<Socket> {
        if let Some(path) = &self.socket {
            return Ok(Socket::Unix(UnixStream::connect(path).await?));
        }
        let stream = match self.source {
            None => TcpStream::connect((host, port)).await?,
            Some(source) => connect_from(source, host, port).await?,
        };
        // A check is one small packet each way: waiting to fill it would be the latency measured.
        stream.set_nodelay(true)?;
        Ok(Socket::Tcp(stream))
    }

    /// The header of the PROXY protocol.
    pub(crate) fn proxy_header(&self, host: &str, port: u16) -> Option<Vec<u8>> {
        let (version, from) = self.stated?;
        let to = host.parse().unwrap_or(Ipv4Addr::LOCALHOST);
        Some(match version {
            ProxyProtocol::V1 => {
                format!("PROXY TCP4 {from} {to} {STATED_PORT} {port}\r\n").into_bytes()
            }
            ProxyProtocol::V2 => [
                // Signature; version 2, proxied; TCP over IPv4; length of the rest.
                &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
                &from.octets(),
                &to.octets(),
                &STATED_PORT.to_be_bytes(),
                &port.to_be_bytes(),
            ]
            .concat(),
        })
    }
}

async fn connect_from(source: IpAddr, host: &str, port: u16) -> io::Result<TcpStream> {
    let same_family = |to: &SocketAddr| to.is_ipv4() == source.is_ipv4();
    let to = lookup_host((host, port)).await?.find(same_family);
    let to = to.ok_or_else(|| {
        let what = format!("{host} has no address of the family of {source}");
        io::Error::new(io::ErrorKind::AddrNotAvailable, what)
    })?;
    let socket = match source {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(to).await
}

/// An address of 127.0.0.0/8 for each key. They begin where no earlier run of this millisecond
/// began, since a limiter may remember those of the last run.
#[derive(Debug)]
pub(crate) struct KeyAddresses {
    first: u64,
    given: Mutex<HashMap<Key, u64>>,
}

impl Default for KeyAddresses {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            first: now.unwrap_or_default().as_millis() as u64,
            given: Mutex::default(),
        }
    }
}

impl KeyAddresses {
    pub(crate) fn of(&self, key: &Key) -> Ipv4Addr {
        let mut given = self.given.lock();
        let next = given.len() as u64;
        let n = self.first + *given.entry(key.clone()).or_insert(next);
        // The first and the last address of a network are its own.
        let part = |n: u64| (n % 254 + 1) as u8;
        Ipv4Addr::new(127, part(n / 254 / 254), part(n / 254), part(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_an_address_of_its_own() {
        let addresses = KeyAddresses::default();
        let of = |n: u32| addresses.of(&format!("key-{n}").parse().unwrap());
        let given: std::collections::BTreeSet<_> = (0..1_000).map(of).collect();
        assert_eq!(given.len(), 1_000);
        assert!(given.contains(&of(7)));
        assert!(given.iter().all(Ipv4Addr::is_loopback));
    }

    #[test]
    fn headers_state_the_address_of_a_caller() {
        let header = |version| {
            let route = SiteRoute {
                stated: Some((version, Ipv4Addr::new(127, 1, 2, 3))),
                ..SiteRoute::default()
            };
            route.proxy_header("localhost", 80).unwrap()
        };
        let text = b"PROXY TCP4 127.1.2.3 127.0.0.1 40000 80\r\n";
        assert_eq!(header(ProxyProtocol::V1), text);
        let binary =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\x01\x02\x03\x7f\0\0\x01\x9c\x40\0\x50";
        assert_eq!(header(ProxyProtocol::V2), binary);
    }
}
