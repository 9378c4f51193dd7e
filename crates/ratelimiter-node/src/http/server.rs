use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::patient::Patient;

/// Connections served at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take to send a request's head, and how long an idle connection is kept.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// The largest head, bytes, and how many header fields it may have.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// How long a client may leave an answer unread before its connection is closed.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// How long requests in flight may take to end when the node shuts down.
const DRAIN_DEADLINE: Duration = Duration::from_secs(1);
/// After a failure to accept, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, and then until the requests in flight are answered or a second has passed.
pub(crate) async fn serve(listener: TcpListener, api: Arc<Api>, shutdown: CancellationToken) {
    serve_at_most(MAX_CONNECTIONS, listener, api, shutdown).await;
}

async fn serve_at_most(most: usize, listener: TcpListener, api: Arc<Api>, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(most));
    let graceful = GracefulShutdown::new();
    // Dropped with whatever is still served when the time to drain is over.
    let mut connections = JoinSet::new();
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    loop {
        let accept = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection was abandoned");
                }
                continue;
            }
            accepted = accept => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // An answer is one small packet: waiting to fill it would only delay it. Without the option it still arrives.
        let _ = stream.set_nodelay(true);
        let api = Arc::clone(&api);
        let service = service_fn(move |request| {
            let api = Arc::clone(&api);
            async move { Ok::<_, std::convert::Infallible>(api.handle(request).await) }
        });
        let stream = TokioIo::new(Patient::new(stream, WRITE_DEADLINE));
        let connection = graceful.watch(server.serve_connection(stream, service));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    if timeout(DRAIN_DEADLINE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight at shutdown");
    }
}

#[cfg(test)]
mod tests {
    use ratelimiter_store::StoreUrl;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;

    use super::*;
    use crate::{Config, Node};

    /// A node whose store is not there, which matters to none of these tests.
    async fn node() -> Node {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let store: StoreUrl = format!("redis://{nobody}").parse().unwrap();
        Node::bind(Config::new("n", "127.0.0.1:0".parse().unwrap(), store).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_server_without_a_free_place_still_stops_when_it_is_told() {
        let (listener, api) = node().await.into_server();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve_at_most(1, listener, api, shutdown.clone()));
        let mut idle = TcpStream::connect(address).await.unwrap();
        let _waiting = TcpStream::connect(address).await.unwrap();
        shutdown.cancel();
        timeout(10 * DRAIN_DEADLINE, server).await.unwrap().unwrap();
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0, "the connection was closed");
    }
}
