use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ratelimiter_api::NodeId;
use ratelimiter_store::StoreError;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::clock::{StoreClock, micros};
use crate::http::{self, AccessControl, ConnectionBounds, NodeApi};
use crate::limiter::Limiter;
use crate::metrics::NodeMetrics;
use crate::roster::NodeRoster;
use crate::shared::{SharedStore, StoreStatus};
use crate::sync::StoreSync;

/// Time for a node that stops to flush its pending admissions.
const LEAVE_DEADLINE: Duration = Duration::from_millis(500);

/// Connections that may wait to be accepted. With a full queue the system ignores a client's first
/// packet, and the next comes a second later; so it is as long as common systems allow, which lower
/// it to their own bound.
const BACKLOG: u32 = 4096;
/// Longest look, at start, for another process under the same id. One that beats less often is
/// found while both run.
const DUPLICATE_WAIT: Duration = Duration::from_secs(1);
/// Time between two looks.
const DUPLICATE_POLL: Duration = Duration::from_millis(20);

/// A node that listens but does not serve yet.
#[derive(Debug)]
pub struct NodeServer {
    listener: TcpListener,
    address: SocketAddr,
    sync: Arc<StoreSync>,
    api: Arc<NodeApi>,
    bounds: ConnectionBounds,
}

/// A failure to start a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}{}", listen_hint(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// Another process beats under the same id.
    #[error(
        "another node at {address} has the id {id:?}: give every node an id of its own with --id"
    )]
    Duplicate {
        /// The id.
        id: String,
        /// The address of the other node.
        address: String,
    },
    /// The store answers and cannot be used: another password, or another version, is needed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn listen_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => " (choose another with --listen)",
        _ => "",
    }
}

impl NodeServer {
    /// Listens, and asks the store for its version. A node starts without a store that cannot be
    /// reached, and reaches it later. It does not start with a store that refuses the login or is
    /// too old, nor beside another process under the same id.
    ///
    /// # Errors
    /// When the address or the id is taken, or the store cannot be used.
    pub async fn bind(config: Config) -> Result<Self, NodeError> {
        let Config {
            id,
            limits,
            settings,
            random,
        } = config;
        let new_store = settings.new_store.join(",");
        let store = Arc::new(SharedStore::new(&settings.store, &id, random, new_store));
        let clock = Arc::new(StoreClock::new());
        let listen = |source| NodeError::Listen {
            address: settings.listen,
            source,
        };
        let listener = listen_on(settings.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        match store.version().await {
            Ok(version) => {
                tracing::info!(store = %settings.store, %version, "the store answers");
                alone(&store, &clock, &id, settings.sync_interval).await?;
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "starting without the store");
            }
            Err(error) => return Err(error.into()),
        }

        let limiter = Limiter::new(
            id.clone(),
            settings.store_timeout,
            Arc::clone(&clock),
            Arc::clone(&store),
        );
        let limiter = Arc::new(limiter);
        limiter.assume(&limits);
        let roster = Arc::new(NodeRoster::new(
            settings.sync_interval,
            store.names.boot().to_owned(),
        ));
        let metrics = Arc::new(NodeMetrics::new());
        let (sender, status) = watch::channel(StoreStatus::default());
        let sync = Arc::new(StoreSync {
            node: id.clone(),
            address: settings.advertise.unwrap_or_else(|| address.to_string()),
            interval: settings.sync_interval,
            store_timeout: settings.store_timeout,
            limiter: Arc::clone(&limiter),
            clock,
            store: Arc::clone(&store),
            roster: Arc::clone(&roster),
            metrics: Arc::clone(&metrics),
            seeds: Mutex::new(limits),
            status: sender,
        });
        let api = Arc::new(NodeApi {
            node: id,
            started: Instant::now(),
            counting: settings.counting,
            on_store_failure: settings.on_store_failure,
            sync_interval: settings.sync_interval,
            access: AccessControl::new(settings.admin_token.as_deref()),
            limiter,
            store,
            roster,
            status,
            metrics,
        });
        let bounds = ConnectionBounds {
            total: settings.max_connections,
            per_peer: settings.max_connections_per_peer,
        };
        Ok(Self {
            listener,
            address,
            sync,
            api,
            bounds,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[cfg(test)]
    pub(crate) fn api(&self) -> Arc<NodeApi> {
        Arc::clone(&self.api)
    }

    #[cfg(test)]
    pub(crate) fn into_server(self) -> (TcpListener, Arc<NodeApi>) {
        (self.listener, self.api)
    }

    /// Serves until `shutdown`; then answers the requests in flight, flushes pending admissions and
    /// removes its heartbeat. All of it takes less than two seconds, even with a store that does
    /// not answer.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut background = JoinSet::new();
        background.spawn(Arc::clone(&self.sync).run());
        background.spawn(Arc::clone(&self.sync).beat());
        background.spawn(Arc::clone(&self.sync).watch_eviction());
        background.spawn(Arc::clone(self.api.limiter.leases()).run());
        http::serve(self.listener, self.api, self.bounds, shutdown).await;
        // Both are stopped first: another heartbeat would follow the removal.
        background.shutdown().await;
        match timeout(LEAVE_DEADLINE, self.sync.leave()).await {
            Ok(Ok(())) => tracing::info!("everything is flushed"),
            Ok(Err(error)) => tracing::warn!(%error, "not everything could be flushed"),
            Err(_) => tracing::warn!("not everything could be flushed in time"),
        }
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // A node that was restarted takes its old address at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Refuses an id under which another process beats. A heartbeat that is fresh may also be the last
/// of a process that this one replaces, so that it has to advance twice. Sets the clock by the
/// store's on the way.
async fn alone(
    store: &SharedStore,
    clock: &StoreClock,
    id: &NodeId,
    sync_interval: Duration,
) -> Result<(), NodeError> {
    let wait = (4 * sync_interval).min(DUPLICATE_WAIT);
    let until = Instant::now() + wait;
    let (mut last, mut advances) = (None, 0);
    while let Ok((beat, reading)) = store.heartbeat(id).await {
        clock.adjust(reading);
        let Some(beat) = beat else { break };
        if last.is_some_and(|last| last != beat.at_us) {
            advances += 1;
        }
        if advances >= 2 {
            return Err(NodeError::Duplicate {
                id: id.to_string(),
                address: beat.address,
            });
        }
        let stale = reading.common_us().saturating_sub(beat.at_us) > 2 * micros(wait);
        if stale || Instant::now() >= until {
            break;
        }
        last = Some(beat.at_us);
        sleep(DUPLICATE_POLL).await;
    }
    Ok(())
}
