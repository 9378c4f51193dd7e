//! The address that a proxy listens on, which it keeps while it refuses connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::sleep;

/// Connections that the system may take before the proxy does.
const BACKLOG: u32 = 1024;
/// How often an address is tried again that another process took meanwhile.
const AGAIN: Duration = Duration::from_millis(10);

/// One address. The system refuses connections while it is bound and nothing listens.
#[derive(Debug)]
pub(crate) struct ProxyListener {
    pub(crate) address: SocketAddr,
    state: ListenerState,
}

#[derive(Debug)]
enum ListenerState {
    Listening(TcpListener),
    /// Nothing only while the address is not ours.
    Refusing(Option<TcpSocket>),
}

impl ProxyListener {
    /// Takes an address; port 0 chooses a free one. Listens unless it is to refuse connections.
    pub(crate) fn bind(address: SocketAddr, is_refusing: bool) -> io::Result<Self> {
        let socket = bound(address)?;
        let address = socket.local_addr()?;
        let state = if is_refusing {
            ListenerState::Refusing(Some(socket))
        } else {
            ListenerState::Listening(socket.listen(BACKLOG)?)
        };
        Ok(Self { address, state })
    }

    /// Refuses connections, and those that wait to be taken.
    pub(crate) fn refuse(&mut self) {
        if let ListenerState::Listening(_) = self.state {
            self.state = ListenerState::Refusing(None);
            self.state = ListenerState::Refusing(bound(self.address).ok());
        }
    }

    /// The listener, which takes connections from now on.
    pub(crate) async fn listen(&mut self) -> &TcpListener {
        loop {
            match &mut self.state {
                ListenerState::Listening(_) => break,
                ListenerState::Refusing(socket) => {
                    let socket = socket.take().map_or_else(|| bound(self.address), Ok);
                    match socket.and_then(|socket| socket.listen(BACKLOG)) {
                        Ok(listener) => self.state = ListenerState::Listening(listener),
                        Err(_) => sleep(AGAIN).await,
                    }
                }
            }
        }
        match &self.state {
            ListenerState::Listening(listener) => listener,
            ListenerState::Refusing(_) => unreachable!("the loop ends when it listens"),
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // An address with connections that ended a moment ago may be taken again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
