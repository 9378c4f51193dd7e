use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ratelimiter_api::{CountingMode, StoreFailurePolicy};
use resp_proxy::RuleSet;

use crate::{
    ClusterError, LocalCluster, Proxies, StoreBinary, StoreSearch, StoreTopology, node_binary,
};

/// Where a node, counted from 0, is to connect to reach the store, given where the store listens.
pub(crate) type StoreRoute = Arc<dyn Fn(usize, SocketAddr) -> SocketAddr + Send + Sync>;

/// What to start. Every part has a default; see [`LocalCluster::builder`].
#[derive(Clone)]
pub struct ClusterBuilder {
    pub(crate) nodes: usize,
    pub(crate) topology: StoreTopology,
    pub(crate) counting: CountingMode,
    pub(crate) on_store_failure: Option<StoreFailurePolicy>,
    pub(crate) sync_interval: Duration,
    pub(crate) store_timeout: Duration,
    pub(crate) password: Option<String>,
    pub(crate) tls: bool,
    pub(crate) admin_token: Option<String>,
    pub(crate) deadline: Duration,
    pub(crate) store_route: StoreRoute,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) rules: RuleSet,
    store: Option<StoreBinary>,
    node: Option<PathBuf>,
    progress: Arc<dyn Fn(&str) + Send + Sync>,
}

impl ClusterBuilder {
    pub(crate) fn new() -> Self {
        Self {
            nodes: 3,
            topology: StoreTopology::Single,
            counting: CountingMode::Cached,
            on_store_failure: None,
            sync_interval: Duration::from_millis(200),
            store_timeout: Duration::from_millis(200),
            password: None,
            tls: false,
            admin_token: None,
            deadline: Duration::from_secs(20),
            store_route: Arc::new(|_, store| store),
            proxies: None,
            rules: RuleSet::new(),
            store: None,
            node: None,
            progress: Arc::new(|_| ()),
        }
    }

    /// How many nodes, 1 to 16; three by default.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// The stores: one by default.
    #[must_use]
    pub fn topology(mut self, topology: StoreTopology) -> Self {
        self.topology = topology;
        self
    }

    /// How keys without a mode of their own are counted; cached by default.
    #[must_use]
    pub fn counting(mut self, counting: CountingMode) -> Self {
        self.counting = counting;
        self
    }

    /// The answer during a store failure for keys without a policy of their own; by default the
    /// counting mode decides.
    #[must_use]
    pub fn on_store_failure(mut self, policy: StoreFailurePolicy) -> Self {
        self.on_store_failure = Some(policy);
        self
    }

    /// Time between two syncs of a node with the store; 200 ms by default.
    #[must_use]
    pub fn sync_interval(mut self, interval: Duration) -> Self {
        self.sync_interval = interval;
        self
    }

    /// How long a check waits for the store; 200 ms by default.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Makes the store want a password, which is part of [`LocalCluster::store_url`].
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Puts stores and sentinels behind TLS, with a certificate made by `openssl` for the run.
    /// Needs a store's executable with TLS, and the feature `tls` of `ratelimiter-store`.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Makes the nodes want a token for changes of limits and counters.
    #[must_use]
    pub fn admin_token(mut self, token: impl Into<String>) -> Self {
        self.admin_token = Some(token.into());
        self
    }

    /// How long the whole cluster may take to become healthy; 20 s by default.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Makes nodes reach the store by way of something else, such as a relay that can be slowed or
    /// cut.
    ///
    /// Once the store answers, `route` is told the number of a node, counted from 0, and where the
    /// store listens, and says where that node is to connect. It is asked again, with other
    /// addresses, when a port turns out to be taken. The cluster itself goes on talking to the
    /// store directly, and [`LocalCluster::store_url`] is the direct way too.
    #[must_use]
    pub fn store_route(
        mut self,
        route: impl Fn(usize, SocketAddr) -> SocketAddr + Send + Sync + 'static,
    ) -> Self {
        self.store_route = Arc::new(route);
        self
    }

    /// Puts fault proxies between the nodes and the store; none by default. Their rules are those
    /// of [`LocalCluster::rules`]. The cluster itself goes on talking to the store directly.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = Some(proxies);
        self
    }

    /// Rules for the proxies that are in force already while the cluster starts.
    #[must_use]
    pub fn rules(mut self, rules: RuleSet) -> Self {
        self.rules = rules;
        self
    }

    /// Starts this store instead of looking for one.
    #[must_use]
    pub fn store_binary(mut self, store: StoreBinary) -> Self {
        self.store = Some(store);
        self
    }

    /// Starts this node instead of looking for one.
    #[must_use]
    pub fn node_binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.node = Some(path.into());
        self
    }

    /// Receives a line before each step that takes more than a moment.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// Starts the store and the nodes, and waits until every node is healthy and knows all others.
    ///
    /// # Errors
    /// When something cannot be found or started, or is not healthy in time. Nothing is left
    /// running then.
    pub async fn start(self) -> Result<LocalCluster, ClusterError> {
        if !(1..=16).contains(&self.nodes) {
            return Err(ClusterError::Nodes(self.nodes));
        }
        let (store, node, progress) = (
            self.store.clone(),
            self.node.clone(),
            Arc::clone(&self.progress),
        );
        // Looking may run pip or cargo, which take their time.
        let found = tokio::task::spawn_blocking(move || {
            let store = store.map_or_else(|| StoreSearch::from_env().find(&*progress), Ok)?;
            Ok::<_, ClusterError>((store, node.map_or_else(node_binary, Ok)?))
        });
        let (store, node) = found
            .await
            .map_err(|e| ClusterError::NoStore(e.to_string()))??;
        (self.progress)(&format!("starting {store} and {} nodes", self.nodes));
        LocalCluster::start(self, store, node).await
    }
}
