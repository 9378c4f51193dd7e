use std::sync::Arc;
use std::time::Duration;

use ratelimiter_api::{Claims, NodeId, Operation, Outcome};
use ratelimiter_target::{Check, Connection, Hold, Target};
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::ChaosError;

/// Connections opened at the same time, so that no accept queue overflows.
const OPENING: usize = 32;
/// Time for one connection to open.
const OPEN: Duration = Duration::from_secs(5);
/// Time for all requests to be out but for their last bytes.
const READY: Duration = Duration::from_secs(10);

/// How checks are brought to one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// All requests are sent but for their last byte; one thread writes the last bytes. Falls back
    /// to the barrier where a target cannot hold a byte back.
    #[default]
    LastByte,
    /// One barrier releases all tasks, each of which then sends its request.
    Barrier,
}

/// The result of checks sent at one instant.
#[derive(Clone, Debug)]
pub struct VolleyReport {
    /// How they were released.
    pub release: Release,
    /// When the first request was complete at the sender; the origin of `operations`.
    pub released: Instant,
    /// From the first request complete to the last: how close to one instant it was.
    pub start_skew: Duration,
    /// From the first request complete to the last answer.
    pub took: Duration,
    /// One record a check, by time of invoke.
    pub operations: Vec<Operation>,
    /// Forms of the answers that were neither allowed nor denied, without repetition.
    pub details: Vec<String>,
}

/// One check that has its answer.
struct Flown {
    check: Check,
    node: NodeId,
    invoke: Instant,
    complete: Instant,
    outcome: Outcome,
    claims: Claims,
    detail: String,
}

/// Sends all checks at one instant, each on a connection of its own, round-robin over the target's
/// nodes.
///
/// # Errors
/// When a connection cannot be opened, before anything is sent. After that a failure is an
/// operation's outcome.
pub async fn volley(
    target: &dyn Target,
    checks: Vec<Check>,
    release: Release,
) -> Result<VolleyReport, ChaosError> {
    let connections = open(target, checks.len()).await?;
    let holds: Option<Vec<Arc<Hold>>> = connections
        .iter()
        .map(|(_, connection)| connection.hold())
        .collect();
    let flown = match holds {
        Some(holds) if release == Release::LastByte => {
            by_last_byte(connections, checks, holds).await
        }
        _ => by_barrier(connections, checks).await,
    };
    let (flown, release) = flown;
    let first = flown
        .iter()
        .map(|f| f.invoke)
        .min()
        .unwrap_or_else(Instant::now);
    let last_sent = flown.iter().map(|f| f.invoke).max().unwrap_or(first);
    let last = flown.iter().map(|f| f.complete).max().unwrap_or(first);
    let mut details: Vec<String> = flown
        .iter()
        .map(|f| f.detail.clone())
        .filter(|d| !d.is_empty())
        .collect();
    details.sort();
    details.dedup();
    let mut operations: Vec<_> = flown
        .into_iter()
        .map(|f| Operation {
            cost: f.check.cost,
            claims: f.claims,
            ..Operation::new(
                f.check.key,
                f.node,
                f.invoke - first,
                f.complete - first,
                f.outcome,
            )
        })
        .collect();
    operations.sort_by_key(|op| op.invoke);
    Ok(VolleyReport {
        release,
        released: first,
        start_skew: last_sent - first,
        took: last - first,
        operations,
        details,
    })
}

type Open = (NodeId, Box<dyn Connection>);

async fn by_last_byte(
    connections: Vec<Open>,
    checks: Vec<Check>,
    holds: Vec<Arc<Hold>>,
) -> (Vec<Flown>, Release) {
    holds.iter().for_each(|hold| hold.arm());
    let mut flights = JoinSet::new();
    for (n, ((node, connection), check)) in connections.into_iter().zip(checks).enumerate() {
        flights.spawn(async move {
            let (flown, connection) = fly(node, connection, check).await;
            // The connection stays open until all are done: closing it would disturb the others.
            (n, flown, connection)
        });
    }
    let all_ready = async {
        for hold in &holds {
            hold.ready().await;
        }
    };
    // A request that is not out by then is released as it is: its own answer shows that.
    let _ = timeout(READY, all_ready).await;
    let released = release(holds).await;
    let done = flights.join_all().await;
    let flown = done
        .into_iter()
        .map(|(n, flown, _)| Flown {
            invoke: Instant::from_std(released[n]).min(flown.complete),
            ..flown
        })
        .collect();
    (flown, Release::LastByte)
}

/// Writes the last bytes. The instants are those before each left.
async fn release(holds: Vec<Arc<Hold>>) -> Vec<std::time::Instant> {
    let (done, released) = oneshot::channel();
    // A thread of its own, since it does not give its priority back.
    std::thread::spawn(move || {
        // The limiter begins to answer while bytes are still to be written, and competes for the
        // processor where it is on this machine. Without the permission the burst is a little less
        // close to one instant.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, -20);
        let written = holds
            .iter()
            .map(|hold| hold.release().unwrap_or_else(|_| std::time::Instant::now()));
        let _ = done.send(written.collect());
    });
    released
        .await
        .expect("the thread that writes the last bytes ends with its answer")
}

async fn by_barrier(connections: Vec<Open>, checks: Vec<Check>) -> (Vec<Flown>, Release) {
    let barrier = Arc::new(Barrier::new(checks.len()));
    let mut flights = JoinSet::new();
    for ((node, connection), check) in connections.into_iter().zip(checks) {
        let barrier = Arc::clone(&barrier);
        flights.spawn(async move {
            barrier.wait().await;
            fly(node, connection, check).await
        });
    }
    let done = flights.join_all().await;
    (
        done.into_iter().map(|(flown, _)| flown).collect(),
        Release::Barrier,
    )
}

/// Makes the check. Gives the connection back, for the caller to close.
async fn fly(
    node: NodeId,
    mut connection: Box<dyn Connection>,
    check: Check,
) -> (Flown, Box<dyn Connection>) {
    let invoke = Instant::now();
    let answer = connection.check(&check).await;
    let complete = Instant::now();
    let flown = Flown {
        check,
        node,
        invoke,
        complete,
        outcome: answer.outcome,
        claims: answer.claims,
        detail: answer.detail,
    };
    (flown, connection)
}

/// Opens connections, round-robin over the nodes.
pub(crate) async fn open(target: &dyn Target, count: usize) -> Result<Vec<Open>, ChaosError> {
    use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
    let nodes = target.nodes();
    let one = |n: usize| async move {
        let node = n % nodes.len();
        match timeout(OPEN, target.connect(node)).await {
            Ok(connection) => Ok((nodes[node].clone(), connection?)),
            Err(_) => Err(ChaosError::NotOpened {
                node: nodes[node].clone(),
                after: OPEN,
            }),
        }
    };
    stream::iter(0..count)
        .map(one)
        .buffered(OPENING)
        .try_collect()
        .await
}
