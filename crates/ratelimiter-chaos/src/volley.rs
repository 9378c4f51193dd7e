use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ratelimiter_api::{NodeId, Operation};
use ratelimiter_target::{Check, Connection, Cork, Target};
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::files::connections;
use crate::{ChaosError, CheckRecord, CheckTally, MAX_REQUESTS};

/// Connections opened at the same time: few enough for any accept queue.
const OPENING: usize = 32;
/// Time for one connection to open.
const OPEN: Duration = Duration::from_secs(5);
/// Time for all requests to be whole in their corks.
const READY: Duration = Duration::from_secs(10);
/// Time without an answer after which answered connections are closed.
const QUIET: Duration = Duration::from_millis(100);
/// Different answers that a report shows.
const SEEN: usize = 8;

/// The means that brings checks to one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// All requests wait whole in the corks of their connections; one thread releases them. Falls
    /// back to the barrier where a target has no cork.
    #[default]
    Cork,
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
    /// Forms of the answers that were neither allowed nor denied, and remarks on their fields,
    /// without repetition.
    pub details: Vec<String>,
    /// Some of the answers as they came, cut short, without repetition.
    pub seen: Vec<String>,
}

/// Sends all checks at one instant, each on a connection of its own or, in HTTP/2, on a stream of
/// its own, round-robin over the target's nodes. Where fewer files may be open, a connection makes
/// several checks, one after the other.
/// The times of the records count from `origin`.
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
    let most = checks.len().min(MAX_REQUESTS as usize);
    let connections = open(target, connections(most)?).await?;
    let mut turns = vec![Vec::new(); connections.len()];
    for (n, check) in checks.into_iter().enumerate() {
        turns[n % connections.len()].push(check);
    }
    let corks: Option<Vec<_>> = match release {
        Release::Cork => connections.iter().map(|(_, c)| c.cork()).collect(),
        Release::Barrier => None,
    };
    let release = match &corks {
        Some(_) => Release::Cork,
        None => Release::Barrier,
    };
    corks.iter().flatten().for_each(|cork| cork.arm());
    // Corks need no barrier.
    let waiting = if corks.is_some() { 1 } else { turns.len() };
    let barrier = Arc::new(Barrier::new(waiting));
    let mut flights = JoinSet::new();
    for (n, ((node, mut connection), checks)) in connections.into_iter().zip(turns).enumerate() {
        let barrier = Arc::clone(&barrier);
        flights.spawn(async move {
            barrier.wait().await;
            let mut records = Vec::new();
            for check in checks {
                let node = node.clone();
                records.push(CheckRecord::make(&mut *connection, &check, node, origin).await);
            }
            (n, records, connection)
        });
    }
    let released = match corks {
        Some(corks) => release_all(corks).await,
        None => Vec::new(),
    };
    let mut answered = answers(flights).await;
    for (n, records) in &mut answered {
        if let (Some(&Some(at)), Some(CheckRecord { operation, .. })) =
            (released.get(*n), records.first_mut())
        {
            operation.invoke = (Instant::from_std(at) - origin).min(operation.complete);
        }
    }
    let records = answered.into_iter().flat_map(|(_, records)| records);
    Ok(report(release, origin, records.collect()))
}

/// The number of a connection, the records of its checks, and the connection.
type Flight = (usize, Vec<CheckRecord>, Box<dyn Connection>);

/// Waits for all answers. Answered connections stay open while others are answered, since closing
/// them would disturb these. Once there is no answer for a while they are closed: a worker of the
/// server may wait for the end of its connection.
async fn answers(mut flights: JoinSet<Flight>) -> Vec<(usize, Vec<CheckRecord>)> {
    let (mut answered, mut open, mut quiet) = (Vec::new(), Vec::new(), false);
    loop {
        match timeout(QUIET, flights.join_next()).await {
            Ok(None) => return answered,
            Ok(Some(flight)) => {
                let (n, records, connection) = flight.expect("a check does not panic");
                answered.push((n, records));
                open.push(connection);
            }
            Err(_) => quiet = true,
        }
        if quiet {
            open.clear();
        }
    }
}

fn report(release: Release, origin: Instant, records: Vec<CheckRecord>) -> VolleyReport {
    let texts = |of: fn(&CheckRecord) -> &String| {
        let texts: BTreeSet<_> = records
            .iter()
            .map(of)
            .filter(|text| !text.is_empty())
            .collect();
        texts.into_iter().cloned()
    };
    let details = texts(|record| &record.detail).collect();
    let seen = texts(|record| &record.seen).take(SEEN).collect();
    let mut operations: Vec<_> = records.into_iter().map(|record| record.operation).collect();
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
        seen,
    }
}

/// Waits until all requests are whole in their corks, and releases them. The instants are those
/// before each left; none for a connection that had ended, whose check may have been sent on
/// another one.
async fn release_all(corks: Vec<Arc<Cork>>) -> Vec<Option<std::time::Instant>> {
    let all_ready = async {
        for cork in &corks {
            cork.ready().await;
        }
    };
    // A request that is not whole by then leaves later: its own answer shows that.
    let _ = timeout(READY, all_ready).await;
    let (done, released) = oneshot::channel();
    // A thread of its own, since it does not give its priority back.
    std::thread::spawn(move || {
        // The limiter begins to answer while others are still to be released, and competes for the
        // processor where it is on this machine. Without the permission the burst is a little less
        // close to one instant.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, -20);
        let released = corks.iter().map(|cork| cork.release().ok());
        let _ = done.send(released.collect());
    });
    released
        .await
        .expect("the thread that releases the corks ends with its answer")
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
