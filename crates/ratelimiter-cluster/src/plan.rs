use std::path::PathBuf;
use std::time::Duration;

use ratelimiter_api::{CountingMode, StoreFailurePolicy};

use crate::{
    ClusterError, LocalCluster, Proxies, StoreBinary, StoreSearch, StoreTopology, node_binary,
};

/// A cluster to start: every field has a default.
#[derive(Clone)]
pub struct ClusterPlan {
    /// Number of nodes, 1 to 16; three by default.
    pub nodes: usize,
    /// The stores; one by default.
    pub topology: StoreTopology,
    /// Counting mode of the keys without an own one; cached by default.
    pub counting: CountingMode,
    /// Answer during a store failure for the keys without an own policy; by default the counting
    /// mode decides.
    pub on_store_failure: Option<StoreFailurePolicy>,
    /// Time between two syncs of a node with the store; 200 ms by default.
    pub sync_interval: Duration,
    /// Longest wait of a check for the store; 200 ms by default.
    pub store_timeout: Duration,
    /// Password of the store, which is part of [`LocalCluster::store_url`]; none by default.
    pub password: Option<String>,
    /// Whether stores and sentinels are behind TLS, with a certificate that is made for the run.
    /// Needs a store's executable with TLS, and the feature `tls`.
    pub tls: bool,
    /// Token for changes of limits and counters at the nodes; none by default.
    pub admin_token: Option<String>,
    /// Longest time until the whole cluster is healthy; 20 s by default.
    pub deadline: Duration,
    /// Fault proxies between the nodes and the store; none by default. [`LocalCluster::rules`] has
    /// their rules. The cluster itself talks to the store directly.
    pub proxies: Option<Proxies>,
    /// The store to start; by default it is looked for.
    pub store_binary: Option<StoreBinary>,
    /// The node to start; by default it is looked for.
    pub node_binary: Option<PathBuf>,
    /// Receives a line before each step that takes more than a moment.
    pub progress: fn(&str),
}

impl Default for ClusterPlan {
    fn default() -> Self {
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
            proxies: None,
            store_binary: None,
            node_binary: None,
            progress: |_| (),
        }
    }
}

impl ClusterPlan {
    /// This number of nodes, and the default of everything else.
    #[must_use]
    pub fn nodes(nodes: usize) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
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
        self.begin().await
    }

    /// Starts the store alone, for nodes of another kind.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_store(self) -> Result<LocalCluster, ClusterError> {
        let store_alone = Self {
            nodes: 0,
            proxies: None,
            node_binary: Some(PathBuf::new()),
            ..self
        };
        store_alone.begin().await
    }

    async fn begin(self) -> Result<LocalCluster, ClusterError> {
        if self.topology != StoreTopology::Single && self.proxies.is_some() {
            return Err(ClusterError::ProxiedTopology);
        }
        if self.tls && self.proxies.is_some() {
            return Err(ClusterError::ProxiedTls);
        }
        let (store, node, progress) = (
            self.store_binary.clone(),
            self.node_binary.clone(),
            self.progress,
        );
        // Looking may run pip or cargo, which take their time.
        let binaries = tokio::task::spawn_blocking(move || {
            let store = store.map_or_else(|| StoreSearch::from_env().find(&progress), Ok)?;
            Ok::<_, ClusterError>((store, node.map_or_else(node_binary, Ok)?))
        });
        let (store, node) = binaries
            .await
            .map_err(|e| ClusterError::NoStore(e.to_string()))??;
        progress(&match self.nodes {
            0 => format!("starting {store}"),
            nodes => format!("starting {store} and {nodes} nodes"),
        });
        LocalCluster::start(&self, &store, &node).await
    }
}
