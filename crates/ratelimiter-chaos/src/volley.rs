use std::sync::Arc;
use std::time::Duration;

use ratelimiter_api::{NodeId, Operation};
use ratelimiter_target::{Check, Connection, LastByte, Target};
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::{ChaosError, CheckRecord, CheckTally};

/// Connections opened at the same time: few enough for any accept queue.
const OPENING: usize = 32;
/// Time for one connection to open.
const OPEN: Duration = Duration::from_secs(5);
/// Time for all requests to be out but for their last bytes.
const READY: Duration = Duration::from_secs(10);

/// The means that brings checks to one instant.
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
    /// The means that brought the checks to one instant.
    pub release: Release,
    /// When the first request was complete at the sender.
    pub released: Instant,
    /// From the first request complete to the last: how close to one instant it was.
    pub start_skew: Duration,
    /// From the first request complete to the last answer.
    pub took: Duration,
    /// The outcomes.
    pub tally: CheckTally,
    /// One record a check, by time of invoke.
    pub operations: Vec<Operation>,
    /// Forms of the answers that were neither allowed nor denied, without repetition.
    pub details: Vec<String>,
}

/// Sends all checks at one instant, each on a connection of its own, round-robin over the target's
/// nodes. The times of the records count from `origin`.
///
/// # Errors
/// When a connection cannot be opened, before anything is sent. After that a failure is an
/// operation's outcome.
pub async fn volley(
    target: &dyn Target,
    checks: Vec<Check>,
    release: Release,
    origin: Instant,
) -> Result<VolleyReport, ChaosError> {
    let connections = open(target, checks.len()).await?;
    let last_bytes: Option<Vec<_>> = match release {
        Release::LastByte => connections.iter().map(|(_, c)| c.last_byte()).collect(),
        Release::Barrier => None,
    };
    let release = match &last_bytes {
        Some(_) => Release::LastByte,
        None => Release::Barrier,
    };
    last_bytes.iter().flatten().for_each(|last| last.arm());
    // Held last bytes need no barrier.
    let waiting = if last_bytes.is_some() {
        1
    } else {
        checks.len()
    };
    let barrier = Arc::new(Barrier::new(waiting));
    let mut flights = JoinSet::new();
    for (n, ((node, mut connection), check)) in connections.into_iter().zip(checks).enumerate() {
        let barrier = Arc::clone(&barrier);
        flights.spawn(async move {
            barrier.wait().await;
            let record = CheckRecord::make(&mut *connection, &check, node, origin).await;
            // The connection stays open until all are done: closing it would disturb the others.
            (n, record, connection)
        });
    }
    let released = match last_bytes {
        Some(last_bytes) => write_last(last_bytes).await,
        None => Vec::new(),
    };
    let mut records = flights.join_all().await;
    for (n, CheckRecord { operation, .. }, _) in &mut records {
        if let Some(&at) = released.get(*n) {
            operation.invoke = (Instant::from_std(at) - origin).min(operation.complete);
        }
    }
    Ok(report(
        release,
        origin,
        records.into_iter().map(|(_, record, _)| record),
    ))
}

fn report(
    release: Release,
    origin: Instant,
    records: impl Iterator<Item = CheckRecord>,
) -> VolleyReport {
    let (mut operations, mut details): (Vec<Operation>, Vec<String>) = records
        .map(|record| (record.operation, record.detail))
        .unzip();
    details.retain(|detail| !detail.is_empty());
    details.sort();
    details.dedup();
    operations.sort_by_key(|op| op.invoke);
    let first = operations.first().map_or(Duration::ZERO, |op| op.invoke);
    let last_sent = operations.last().map_or(first, |op| op.invoke);
    let last = operations
        .iter()
        .map(|op| op.complete)
        .max()
        .unwrap_or(first);
    VolleyReport {
        release,
        released: origin + first,
        start_skew: last_sent - first,
        took: last - first,
        tally: operations.iter().map(|op| op.outcome).collect(),
        operations,
        details,
    }
}

/// Waits until all requests are out but for their last bytes, and writes these. The instants are
/// those before each left.
async fn write_last(last_bytes: Vec<Arc<LastByte>>) -> Vec<std::time::Instant> {
    let all_ready = async {
        for last in &last_bytes {
            last.ready().await;
        }
    };
    // A request that is not out by then is released as it is: its own answer shows that.
    let _ = timeout(READY, all_ready).await;
    let (done, released) = oneshot::channel();
    // A thread of its own, since it does not give its priority back.
    std::thread::spawn(move || {
        // The limiter begins to answer while bytes are still to be written, and competes for the
        // processor where it is on this machine. Without the permission the burst is a little less
        // close to one instant.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, -20);
        let written = last_bytes
            .iter()
            .map(|last| last.release().unwrap_or_else(|_| std::time::Instant::now()));
        let _ = done.send(written.collect());
    });
    released
        .await
        .expect("the thread that writes the last bytes ends with its answer")
}

/// A connection and the name of its node.
type NamedConnection = (NodeId, Box<dyn Connection>);

/// Opens connections, round-robin over the nodes.
pub(crate) async fn open(
    target: &dyn Target,
    count: usize,
) -> Result<Vec<NamedConnection>, ChaosError> {
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
