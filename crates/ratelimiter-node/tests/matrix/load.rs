//! Callers that check all the time, and a record of every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ratelimiter_api::{
    CheckRequest, ClientError, CountingMode, DecidedBy, Endpoint, Key, NodeClient, NodeId,
    Operation, Outcome,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::world::{MODES, World, key_of};

/// Callers of each key at each node.
const CALLERS: usize = 2;
/// Checks in a row that make a node steady.
const STEADY: usize = 20;
/// Pause of a caller between two checks.
const PACE: Duration = Duration::from_millis(5);
/// Time for an answer. Far beyond any wait that a node may cause.
const DEADLINE: Duration = Duration::from_secs(30);

/// One answered or lost check.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) mode: CountingMode,
    pub(crate) operation: Operation,
    /// The decider; none when no answer came.
    pub(crate) by: Option<DecidedBy>,
}

/// A running load.
pub(crate) struct Load {
    origin: Instant,
    /// For each node, the latest atomic checks in a row that the store decided.
    by_store: Vec<Arc<AtomicUsize>>,
    done: CancellationToken,
    callers: JoinSet<Vec<Record>>,
}

impl Load {
    /// Starts the callers.
    pub(crate) fn start(world: &World) -> Self {
        let (origin, done, mut callers) =
            (Instant::now(), CancellationToken::new(), JoinSet::new());
        let mut by_store = Vec::new();
        for (i, endpoint) in world.cluster.endpoints().into_iter().enumerate() {
            let in_a_row = Arc::<AtomicUsize>::default();
            by_store.push(Arc::clone(&in_a_row));
            for mode in MODES {
                for _ in 0..CALLERS {
                    let node = NodeId::from(format!("node-{}", i + 1).as_str());
                    let (endpoint, in_a_row) = (endpoint.clone(), Arc::clone(&in_a_row));
                    let caller = Caller {
                        origin,
                        in_a_row,
                        mode,
                        key: key_of(mode),
                        node,
                        endpoint,
                    };
                    callers.spawn(caller.run(done.clone()));
                }
            }
        }
        Self {
            origin,
            by_store,
            done,
            callers,
        }
    }

    /// Time on the axis of the records.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Waits until the store decides on every node again; false when it does not in time.
    pub(crate) async fn is_steady(&self, patience: Duration) -> bool {
        self.by_store
            .iter()
            .for_each(|node| node.store(0, Ordering::Relaxed));
        let until = Instant::now() + patience;
        while !self
            .by_store
            .iter()
            .all(|node| node.load(Ordering::Relaxed) >= STEADY)
        {
            if Instant::now() >= until {
                return false;
            }
            sleep(PACE).await;
        }
        true
    }

    /// Ends the callers and returns their records.
    pub(crate) async fn stop(self) -> Vec<Record> {
        self.done.cancel();
        self.callers
            .join_all()
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

struct Caller {
    origin: Instant,
    in_a_row: Arc<AtomicUsize>,
    mode: CountingMode,
    key: Key,
    node: NodeId,
    endpoint: Endpoint,
}

impl Caller {
    async fn run(self, done: CancellationToken) -> Vec<Record> {
        let mut records = Vec::new();
        let client = NodeClient::new(self.endpoint.clone(), DEADLINE);
        while !done.is_cancelled() {
            records.extend(self.check(&client).await);
            sleep(PACE).await;
        }
        records
    }

    /// One check; nothing when the node refused it or took no connection, since nothing was
    /// admitted then.
    async fn check(&self, client: &NodeClient) -> Option<Record> {
        let invoke = self.origin.elapsed();
        let answer = client.check(&CheckRequest::new(self.key.clone())).await;
        let (outcome, by) = match &answer {
            Ok(answer) if answer.allowed => (Outcome::Allowed, Some(answer.decided_by)),
            Ok(answer) => (Outcome::Denied, Some(answer.decided_by)),
            Err(ClientError::Refused { .. } | ClientError::Connect { .. }) => return None,
            Err(_) => (Outcome::Unknown, None),
        };
        match (self.mode, by) {
            (CountingMode::Atomic, Some(DecidedBy::Store)) => {
                self.in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            (CountingMode::Atomic, _) => self.in_a_row.store(0, Ordering::Relaxed),
            _ => {}
        }
        let (key, node) = (self.key.clone(), self.node.clone());
        let operation = Operation::new(key, node, invoke, self.origin.elapsed(), outcome);
        Some(Record {
            mode: self.mode,
            operation,
            by,
        })
    }
}
