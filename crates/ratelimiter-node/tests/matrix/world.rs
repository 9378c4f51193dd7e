//! A cluster in which everything can be broken: every node reaches its store through a proxy of its
//! own.

use std::time::Duration;

use ratelimiter_api::{
    CheckRequest, ClientError, CountingMode, Key, Limit, LimitSpec, MAX_COST, MAX_LIMIT,
    NodeClient, StoreFailurePolicy, layout,
};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::{ClusterPlan, LocalCluster, Proxies};
use ratelimiter_store::Link;
use redis::cmd;
use resp_proxy::{Rule, RuleGuard};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::clock::StoreClock;

/// Nodes of the cluster.
pub(crate) const NODES: u64 = 3;
/// Admissions in a window of a second, for each key.
pub(crate) const LIMIT: u64 = 40;
/// Longest wait of a check for the store.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_millis(200);
/// The modes under load, each with a key of its own name.
pub(crate) const MODES: [CountingMode; 3] = [
    CountingMode::Atomic,
    CountingMode::Cached,
    CountingMode::Leased,
];
/// Callers that ask for unknown keys, or fill the large window.
const FLOOD: usize = 8;

const DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// A cluster, and the proxies between its nodes and its store.
pub(crate) struct World {
    pub(crate) cluster: LocalCluster,
    pub(crate) clock: StoreClock,
    /// Name of the store's entry with the grants of the leased key.
    grants: String,
}

impl World {
    /// Three nodes and their limits.
    pub(crate) async fn start() -> Self {
        let clock = StoreClock::new();
        let plan = ClusterPlan {
            store_binary: Some(clock.store()),
            store_timeout: STORE_TIMEOUT,
            proxies: Some(Proxies::PerNode),
            ..ClusterPlan::nodes(NODES as usize)
        };
        let cluster = plan.start().await.unwrap();
        let clients: Vec<_> = (0..NODES as usize)
            .map(|i| cluster.client(i, DEADLINE).unwrap())
            .collect();
        let mut grants = String::new();
        for mode in MODES {
            let limit = LimitSpec {
                counting: Some(mode),
                // Leased is exact in every state of the store unless it is told to go on alone.
                on_store_failure: (mode != CountingMode::Leased)
                    .then_some(StoreFailurePolicy::Local),
                ..LimitSpec::new(key_of(mode), limit())
            };
            let entry = setup_rate_limit(&clients, &limit).await.unwrap();
            if mode == CountingMode::Leased {
                [grants, ..] = layout::leases(&entry.key, entry.epoch);
            }
        }
        Self {
            cluster,
            clock,
            grants,
        }
    }

    fn client(&self) -> NodeClient {
        self.cluster.client(0, DEADLINE).unwrap()
    }

    /// Sets the limit of the large window.
    pub(crate) async fn set_large(&self) {
        let limit = Limit::new(MAX_LIMIT.into(), 86_400).unwrap();
        let cached = Some(CountingMode::Cached);
        self.client()
            .set_limit(&LimitSpec {
                counting: cached,
                ..LimitSpec::new(large(), limit)
            })
            .await
            .unwrap();
    }

    /// Has one node admit so many in the large window.
    pub(crate) async fn fill(&self, admissions: usize) {
        let request = CheckRequest {
            key: large(),
            cost: MAX_COST.into(),
        };
        for _ in 0..admissions / MAX_COST as usize {
            assert!(self.client().check(&request).await.unwrap().allowed);
        }
    }

    /// Waits until the store has the large window.
    pub(crate) async fn large_is_flushed(&self) {
        let unsynced = async || {
            self.client()
                .counters_of(&[large()], None)
                .await
                .unwrap()
                .counters[0]
                .unsynced
        };
        let until = Instant::now() + 6 * DEADLINE;
        while unsynced().await > 0 {
            assert!(Instant::now() < until, "the large window is flushed");
            sleep(POLL).await;
        }
    }

    /// Asks one node about so many keys that have no limit.
    pub(crate) async fn ask_unknown(&self, keys: usize) {
        let mut callers = JoinSet::new();
        for caller in 0..FLOOD {
            let endpoint = self.cluster.endpoints().remove(0);
            callers.spawn(async move {
                let node = NodeClient::new(endpoint, DEADLINE);
                for i in 0..keys / FLOOD {
                    let key = Key::new(format!("unknown-{caller}-{i}")).unwrap();
                    let answer = node.check(&CheckRequest::new(key)).await;
                    let Err(ClientError::Refused { status, .. }) = &answer else {
                        panic!("{answer:?}");
                    };
                    assert_eq!(status.as_u16(), 404);
                }
            });
        }
        callers.join_all().await;
    }

    /// Puts a rule of the proxies into force until the guard is dropped.
    pub(crate) fn inject(&self, rule: &str) -> RuleGuard {
        self.cluster.rules().add(rule.parse::<Rule>().unwrap())
    }

    fn store(&self) -> Link {
        Link::new(self.cluster.store_url())
    }

    /// Sends a `CLIENT` command to the store, past the proxies.
    pub(crate) async fn client_command(&self, words: &[&str]) {
        let mut command = cmd("CLIENT");
        command.arg(words);
        let _: redis::Value = self.store().query(&command, DEADLINE).await.unwrap();
    }

    /// Waits until no node holds an unspent grant, and returns how long that took.
    pub(crate) async fn grants_are_returned(&self) -> Duration {
        let (store, started) = (self.store(), Instant::now());
        let open = async || -> u64 {
            let mut charge = cmd("HGET");
            charge.arg(&self.grants).arg("#open");
            let charge: Option<u64> = store.query(&charge, DEADLINE).await.unwrap();
            charge.unwrap_or(0)
        };
        while open().await > 0 {
            assert!(started.elapsed() < DEADLINE, "the grants are returned");
            sleep(POLL).await;
        }
        started.elapsed()
    }

    /// Sends a signal to every node.
    pub(crate) fn signal_nodes(&self, signal: Signal) {
        for id in &self.cluster.process_ids()[1..] {
            kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).unwrap();
        }
    }
}

fn large() -> Key {
    Key::new("large").unwrap()
}

/// The limit of every key.
pub(crate) fn limit() -> Limit {
    Limit::new(LIMIT as i64, 1).unwrap()
}

/// The key that is counted in this mode.
pub(crate) fn key_of(mode: CountingMode) -> Key {
    Key::new(mode.as_str()).unwrap()
}
