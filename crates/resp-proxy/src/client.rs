//! The client of a connection, as rules name it, and its leaving.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How often a connection with unread bytes is looked at: the system reports no end behind them.
const GLANCE: Duration = Duration::from_millis(50);

/// An address, of any port or of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAddress {
    Host(IpAddr),
    Port(SocketAddr),
}

impl ClientAddress {
    pub(crate) fn is(self, address: SocketAddr) -> bool {
        match self {
            Self::Host(host) => host == address.ip().to_canonical(),
            Self::Port(one) => {
                one.port() == address.port() && one.ip() == address.ip().to_canonical()
            }
        }
    }
}

impl FromStr for ClientAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = || text.parse().map(Self::Port);
        text.parse()
            .map(Self::Host)
            .or_else(|_| port())
            .map_err(|_| {
                format!("{text:?} is no address such as 127.0.0.1, 127.0.0.1:5000 or [::1]:5000")
            })
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Port(address) => address.fmt(f),
        }
    }
}

/// Whether the client has closed its side, even if bytes of it are still unread.
pub(crate) fn has_left(client: &TcpStream) -> bool {
    let closed = closed_flags();
    let mut look = [PollFd::new(client, closed)];
    poll(&mut look, Some(&Timespec::default())).is_ok() && look[0].revents().intersects(closed)
}

#[cfg(target_os = "linux")]
fn closed_flags() -> PollFlags {
    PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR
}

#[cfg(not(target_os = "linux"))]
fn closed_flags() -> PollFlags {
    PollFlags::HUP | PollFlags::ERR
}

/// Waits until the client closes its side. Costs nothing while none of its bytes is unread.
pub(crate) async fn leaves(client: &TcpStream) {
    while let Ok(ready) = client.ready(Interest::READABLE).await
        && !ready.is_read_closed()
        && !has_left(client)
    {
        sleep(GLANCE).await;
    }
}
