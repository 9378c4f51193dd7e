use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;

use super::NodeApi;
use super::message::{HttpAnswer, unavailable};
use super::slots::{ConnectionBounds, ConnectionSlot, ConnectionSlots};

/// Connections beyond the bounds that are answered all the same: `/health` as ever, anything else
/// with a 503. The oldest gives way to the newest.
const LOBBY: usize = 64;
/// Time for a connection in the lobby to send the head of its one request.
const LOBBY_DEADLINE: Duration = Duration::from_secs(2);
/// Time for a client to send a request's head, which is also the life of an idle connection.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// The largest head, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The most fields of a head.
const MAX_HEADERS: usize = 64;
/// Time for a client to read an answer.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Time for the requests in flight to end when the node shuts down.
const DRAIN_DEADLINE: Duration = Duration::from_secs(1);
/// After a failure to accept, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, and then until the requests in flight are answered or a second has
/// passed.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Arc<NodeApi>,
    bounds: ConnectionBounds,
    shutdown: CancellationToken,
) {
    let slots = ConnectionSlots::new(bounds.within_open_files(LOBBY));
    let mut server = HttpServer::new(api);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = server.connections.join_next() => {
                if let Err(error) = ended && !error.is_cancelled() {
                    tracing::error!(%error, "a connection was abandoned");
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match slots.take(peer.ip()) {
                Some(slot) => server.serve(stream, slot),
                None => server.shed(stream),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(DRAIN_DEADLINE, server.graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were still in flight at shutdown");
    }
}

struct HttpServer {
    api: Arc<NodeApi>,
    http: http1::Builder,
    graceful: GracefulShutdown,
    /// Dropped with every connection that is still open when the time to drain is over.
    connections: JoinSet<()>,
    lobby: VecDeque<AbortHandle>,
}

impl HttpServer {
    fn new(api: Arc<NodeApi>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            // A client that has sent its request may close its side and wait for the answer.
            .half_close(true)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS);
        Self {
            api,
            http,
            graceful: GracefulShutdown::new(),
            connections: JoinSet::new(),
            lobby: VecDeque::new(),
        }
    }

    /// Serves a connection for as long as it keeps its deadlines.
    fn serve(&mut self, stream: TcpStream, slot: ConnectionSlot) {
        let api = Arc::clone(&self.api);
        let handle = service_fn(move |request| {
            let api = Arc::clone(&api);
            async move { Ok::<_, Infallible>(api.handle(request).await) }
        });
        self.http
            .header_read_timeout(HEAD_DEADLINE)
            .keep_alive(true);
        let connection = self.http.serve_connection(client_stream(stream), handle);
        self.spawn(self.graceful.watch(connection), Some(slot));
    }

    /// Answers one request of a connection that there is no slot for.
    fn shed(&mut self, stream: TcpStream) {
        self.api.metrics.shed();
        let api = Arc::clone(&self.api);
        let handle = service_fn(move |request: Request<Incoming>| {
            let api = Arc::clone(&api);
            async move {
                let mut answer = match request.uri().path() {
                    "/health" => api.handle(request).await,
                    _ => HttpAnswer::from(unavailable(
                        "this node has no place for another connection: try again later",
                    )),
                };
                answer
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
                Ok::<_, Infallible>(answer)
            }
        });
        self.http
            .header_read_timeout(LOBBY_DEADLINE)
            .keep_alive(false);
        let connection = self.http.serve_connection(client_stream(stream), handle);
        let handle = self.spawn(self.graceful.watch(connection), None);
        self.lobby.retain(|handle| !handle.is_finished());
        if self.lobby.len() >= LOBBY
            && let Some(oldest) = self.lobby.pop_front()
        {
            oldest.abort();
        }
        self.lobby.push_back(handle);
    }

    fn spawn(
        &mut self,
        connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
        slot: Option<ConnectionSlot>,
    ) -> AbortHandle {
        self.connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        })
    }
}

fn client_stream(stream: TcpStream) -> TokioIo<Pin<Box<TimeoutWriter<TcpStream>>>> {
    // An answer is one small packet: waiting to fill it would only delay it. Without the option it
    // still arrives.
    let _ = stream.set_nodelay(true);
    TokioIo::new(within_write_deadline(stream))
}

/// A stream on which a write that makes no progress for so long fails. Without it, clients that
/// never read would hold their slots forever.
fn within_write_deadline<S: AsyncWrite>(stream: S) -> Pin<Box<TimeoutWriter<S>>> {
    let mut writer = TimeoutWriter::new(stream);
    writer.set_timeout(Some(WRITE_DEADLINE));
    Box::pin(writer)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ratelimiter_store::StoreUrl;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::{Config, NodeServer, NodeSettings};

    /// A node whose store is absent, which matters to none of these tests.
    async fn node() -> (TcpListener, Arc<NodeApi>) {
        let absent = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let store: StoreUrl = format!("redis://{absent}").parse().unwrap();
        let settings = NodeSettings::new("n", "127.0.0.1:0".parse().unwrap(), store);
        let config = Config::new(settings).unwrap();
        NodeServer::bind(config).await.unwrap().into_server()
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_greedy_peer_is_shed_and_health_answers() {
        let (listener, api) = node().await;
        let address = listener.local_addr().unwrap();
        let bounds = ConnectionBounds {
            total: 8,
            per_peer: 4,
        };
        tokio::spawn(serve(listener, api, bounds, CancellationToken::new()));
        let mut idle = Vec::new();
        for _ in 0..2 * LOBBY {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        for _ in 0..3 {
            let health = get(address, "/health").await;
            assert!(health.starts_with("HTTP/1.1 200"), "{health}");
            let shed = get(address, "/nodes").await;
            assert!(
                shed.starts_with("HTTP/1.1 503") && shed.contains("retry-after: 1"),
                "{shed}"
            );
        }
        let evicted = timeout(10 * DRAIN_DEADLINE, idle[4].read(&mut [0; 1]))
            .await
            .unwrap();
        assert_eq!(evicted.unwrap_or(0), 0, "the first in the lobby gave way");
        drop(idle);
        let until = Instant::now() + 10 * DRAIN_DEADLINE;
        while !get(address, "/nodes").await.starts_with("HTTP/1.1 200") {
            assert!(Instant::now() < until, "slots are free again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_and_slow_connections_are_closed() {
        let (listener, api) = node().await;
        let address = listener.local_addr().unwrap();
        let bounds = ConnectionBounds {
            total: 8,
            per_peer: 8,
        };
        tokio::spawn(serve(listener, api, bounds, CancellationToken::new()));
        let started = Instant::now();
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        let dripping = async {
            // One byte at a time keeps no connection open: the deadline is for the whole head.
            while slow.write_all(b"G").await.is_ok() {
                sleep(HEAD_DEADLINE / 5).await;
            }
        };
        let ended = async { while idle.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {} };
        tokio::join!(dripping, ended);
        assert!(
            started.elapsed() < 2 * HEAD_DEADLINE,
            "closed after {:?}",
            started.elapsed()
        );
    }

    #[tokio::test]
    async fn a_full_server_stops_when_asked() {
        let (listener, api) = node().await;
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(
            listener,
            api,
            ConnectionBounds {
                total: 1,
                per_peer: 1,
            },
            shutdown.clone(),
        ));
        let mut idle = TcpStream::connect(address).await.unwrap();
        let _shed = TcpStream::connect(address).await.unwrap();
        shutdown.cancel();
        timeout(10 * DRAIN_DEADLINE, server).await.unwrap().unwrap();
        assert_eq!(
            idle.read(&mut [0; 1]).await.unwrap_or(0),
            0,
            "the connection was closed"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_served_until_it_stops() {
        let (near, mut far) = duplex(4);
        let mut near = within_write_deadline(near);
        let served = tokio::spawn(async move {
            near.write_all(b"abcdefgh").await?;
            near.write_all(b"ijklmnop").await
        });
        for _ in 0..8 {
            sleep(WRITE_DEADLINE / 2).await;
            far.read_u8().await.unwrap();
        }
        let stopped = Instant::now();
        let error = served.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(stopped.elapsed(), WRITE_DEADLINE);
    }
}
