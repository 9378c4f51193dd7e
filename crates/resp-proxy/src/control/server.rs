use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::routes::answer;
use super::set::ProxySet;

/// Time for a client to send a request's head, which is also the life of an idle connection.
const HEAD: Duration = Duration::from_secs(60);
/// The most connections at once. The oldest of more gives way.
const CONNECTIONS: usize = 64;
/// How long a failing `accept` waits, for instance for file descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// The HTTP server that controls a set of proxies. Dropping it closes its connections; the proxies
/// and their faults stay.
#[derive(Debug)]
pub struct ControlServer {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl ControlServer {
    /// Listens and serves.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn listen(address: SocketAddr, set: ProxySet) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, set));
        Ok(Self {
            address,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener, set: ProxySet) {
    let mut connections = JoinSet::new();
    let mut oldest = std::collections::VecDeque::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    oldest.push_back(connections.spawn(serve_connection(stream, set.clone())));
                    if oldest.len() > CONNECTIONS && let Some(first) = oldest.pop_front() {
                        first.abort();
                    }
                }
                Err(_) => tokio::time::sleep(BREATH).await,
            },
        }
    }
}

async fn serve_connection(stream: TcpStream, set: ProxySet) {
    let handle = service_fn(move |request| {
        let set = set.clone();
        async move { Ok::<_, Infallible>(answer(&set, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    // A client that breaks its connection off has its reasons.
    let _ = http.serve_connection(TokioIo::new(stream), handle).await;
}
