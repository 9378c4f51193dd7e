//! A cluster in which everything can be broken: every node reaches its store through a proxy of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ratelimiter_api::{CountingMode, Key, Limit, LimitSpec, StoreFailurePolicy};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::LocalCluster;
use resp_proxy::{RespProxy, Rule, RuleGuard, RuleSet};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// Nodes of the cluster.
pub(crate) const NODES: u64 = 3;
/// Admissions in a window of a second, for each key.
pub(crate) const LIMIT: u64 = 40;
/// Longest wait of a check for the store.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_millis(200);
/// The modes under load, each with a key of its own name.
pub(crate) const MODES: [CountingMode; 2] = [CountingMode::Atomic, CountingMode::Cached];

const DEADLINE: Duration = Duration::from_secs(20);

/// A cluster, and the proxies between its nodes and its store.
pub(crate) struct World {
    pub(crate) cluster: LocalCluster,
    rules: RuleSet,
    _proxies: Arc<Mutex<Vec<RespProxy>>>,
}

impl World {
    /// Three nodes and their limits. Needs a runtime of several threads.
    pub(crate) async fn start() -> Self {
        let (rules, proxies) = (RuleSet::new(), Arc::<Mutex<Vec<RespProxy>>>::default());
        let (shared, kept) = (rules.clone(), Arc::clone(&proxies));
        let route = move |node: usize, store: SocketAddr| {
            let upstream = format!("redis://{store}").parse().unwrap();
            let builder =
                RespProxy::builder(upstream).name(format!("node-{}", node + 1)).rules(shared.clone());
            let free = SocketAddr::from(([127, 0, 0, 1], 0));
            let proxy = block_in_place(|| Handle::current().block_on(builder.listen(free))).unwrap();
            let address = proxy.address();
            kept.lock().unwrap().push(proxy);
            address
        };
        let cluster =
            LocalCluster::builder().store_timeout(STORE_TIMEOUT).store_route(route).start().await.unwrap();
        let clients: Vec<_> = (0..NODES as usize).map(|i| cluster.client(i, DEADLINE).unwrap()).collect();
        for mode in MODES {
            let limit = LimitSpec {
                counting: Some(mode),
                on_store_failure: Some(StoreFailurePolicy::Local),
                ..LimitSpec::new(key_of(mode), limit())
            };
            setup_rate_limit(&clients, &limit).await.unwrap();
        }
        Self { cluster, rules, _proxies: proxies }
    }

    /// Puts a rule of the proxies into force until the guard is dropped.
    pub(crate) fn inject(&self, rule: &str) -> RuleGuard {
        self.rules.add(rule.parse::<Rule>().unwrap())
    }

    /// Sends a signal to every node.
    pub(crate) fn signal_nodes(&self, signal: Signal) {
        for id in &self.cluster.process_ids()[1..] {
            kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).unwrap();
        }
    }
}

/// The limit of every key.
pub(crate) fn limit() -> Limit {
    Limit::new(LIMIT as i64, 1).unwrap()
}

/// The key that is counted in this mode.
pub(crate) fn key_of(mode: CountingMode) -> Key {
    Key::new(mode.as_str()).unwrap()
}
