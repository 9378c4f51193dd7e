use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ratelimiter_store::StoreError;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::StoreClock;
use crate::http::{self, Api};
use crate::latency::RecentLatency;
use crate::limiter::Limiter;
use crate::metrics::Metrics;
use crate::roster::Roster;
use crate::shared::SharedStore;
use crate::sync::{StoreStatus, Sync};
use crate::{Config, ConfigError};

/// How long a node that is told to stop tries to tell the store what is pending.
const LEAVE_DEADLINE: Duration = Duration::from_millis(500);

/// A node that listens but does not serve yet.
#[derive(Debug)]
pub struct Node {
    listener: TcpListener,
    address: SocketAddr,
    sync: Arc<Sync>,
    api: Arc<Api>,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration is out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}{}", if .source.kind() == io::ErrorKind::AddrInUse { " (choose another with --listen)" } else { "" })]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The store is there and will not do: another password, or another version, is needed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Node {
    /// Listens, and asks the store for its version. A store that cannot be reached yet is waited for in the background;
    /// one that refuses the login, or is too old, is an error.
    ///
    /// # Errors
    /// When the configuration is out of bounds, the address is taken, or the store will not do.
    pub async fn bind(config: Config) -> Result<Self, NodeError> {
        config.validate()?;
        let store = Arc::new(SharedStore::new(&config.store)?);
        let listen = |source| NodeError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        match store.version().await {
            Ok(version) => tracing::info!(store = %config.store, %version, "the store answers"),
            Err(error) if error.is_transient() => tracing::warn!(%error, "starting without the store"),
            Err(error) => return Err(error.into()),
        }

        let clock = Arc::new(StoreClock::new());
        let limiter =
            Limiter::new(config.id.clone(), config.store_timeout, Arc::clone(&clock), Arc::clone(&store));
        let limiter = Arc::new(limiter);
        let roster = Arc::new(Roster::new(config.sync_interval));
        let metrics = Arc::new(Metrics::new());
        let (sender, status) = watch::channel(StoreStatus::default());
        let sync = Arc::new(Sync {
            node: config.id.clone(),
            address: config.advertise.unwrap_or_else(|| address.to_string()),
            interval: config.sync_interval,
            limiter: Arc::clone(&limiter),
            clock,
            store: Arc::clone(&store),
            roster: Arc::clone(&roster),
            metrics: Arc::clone(&metrics),
            status: sender,
        });
        let api = Arc::new(Api {
            node: config.id,
            started: Instant::now(),
            counting: config.counting,
            on_store_failure: config.on_store_failure,
            sync_interval: config.sync_interval,
            admin_token: config.admin_token,
            limiter,
            store,
            sync: Arc::clone(&sync),
            roster,
            status,
            metrics,
            latency: RecentLatency::new(),
        });
        Ok(Self { listener, address, sync, api })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[cfg(test)]
    pub(crate) fn into_server(self) -> (TcpListener, Arc<Api>) {
        (self.listener, self.api)
    }

    /// Serves until `shutdown`; then answers what is in flight, tells the store what is pending, and says goodbye. All
    /// of it takes less than two seconds, whatever the store does.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut background = JoinSet::new();
        background.spawn(Arc::clone(&self.sync).run());
        background.spawn(Arc::clone(&self.sync).beat());
        http::serve(self.listener, self.api, shutdown).await;
        // Both are stopped first: another heartbeat would undo the goodbye.
        background.shutdown().await;
        match timeout(LEAVE_DEADLINE, self.sync.leave()).await {
            Ok(Ok(())) => tracing::info!("everything is flushed"),
            Ok(Err(error)) => tracing::warn!(%error, "the store was not told everything"),
            Err(_) => tracing::warn!("the store was not told everything in time"),
        }
    }
}
