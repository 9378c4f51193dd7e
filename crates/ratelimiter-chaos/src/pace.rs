use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use ratelimiter_api::{Operation, Outcome};
use ratelimiter_target::{Check, Connection, Target};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::files::connections;
use crate::volley::open;
use crate::{ChaosError, CheckRecord, MAX_REQUESTS};

/// A check that is to be sent at an instant.
#[derive(Clone, Debug)]
pub struct DueCheck {
    /// The instant.
    pub at: Instant,
    /// Its node, an index into the target's.
    pub node: usize,
    /// The check.
    pub check: Check,
}

/// Checks that keep their pace, also when a target is slow (an open model): each is sent when it is
/// due, on a connection that no other one uses. A connection is used again after an answer; a check
/// whose connection cannot be opened has failed.
///
/// [`SteadyLoad`](crate::SteadyLoad) sends them in the background.
pub struct PacedChecks<'a> {
    target: &'a dyn Target,
    origin: Instant,
    in_flight: usize,
    stop: CancellationToken,
    /// Checks sent so far, shared with a reader.
    sent: Arc<AtomicU64>,
    /// Connections without a check, by node.
    idle: Vec<Vec<Box<dyn Connection>>>,
}

impl<'a> PacedChecks<'a> {
    /// For checks whose records count from `origin`. Opens nothing.
    pub fn new(target: &'a dyn Target, origin: Instant) -> Self {
        let idle = target.nodes().iter().map(|_| Vec::new()).collect();
        Self {
            target,
            origin,
            in_flight: MAX_REQUESTS as usize,
            stop: CancellationToken::new(),
            sent: Arc::default(),
            idle,
        }
    }

    /// At most so many checks in flight; one that finds no place is skipped.
    #[must_use]
    pub fn in_flight(self, most: usize) -> Self {
        Self {
            in_flight: most,
            ..self
        }
    }

    /// Ends when this is cancelled, with the answers of the checks in flight.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// Counts every check as it is sent, before its answer.
    #[must_use]
    pub fn counting(self, sent: Arc<AtomicU64>) -> Self {
        Self { sent, ..self }
    }

    /// Opens a connection to each node. There are at most as many checks in flight as files may be
    /// open.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn warmed(mut self) -> Result<Self, ChaosError> {
        self.in_flight = connections(self.in_flight)?;
        let opened = open(self.target, self.idle.len()).await?;
        self.idle
            .iter_mut()
            .zip(opened)
            .for_each(|(idle, (_, connection))| idle.push(connection));
        Ok(self)
    }

    /// Sends the checks, which are in the order of their instants, and waits for all answers.
    /// `visit` has each as it comes, and nothing for one that was skipped.
    pub async fn send<I>(mut self, checks: I, mut visit: impl FnMut(Option<CheckRecord>) + Send)
    where
        I: Iterator<Item = DueCheck> + Send,
    {
        let mut checks = checks.peekable();
        let mut flights: FuturesUnordered<BoxFuture<'_, Flight>> = FuturesUnordered::new();
        loop {
            let next = checks
                .peek()
                .filter(|_| !self.stop.is_cancelled())
                .map(|due| due.at);
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if next.is_some() => {}
                Some((node, connection, record)) = flights.next(), if !flights.is_empty() => {
                    self.idle[node].extend(connection);
                    visit(Some(record));
                }
                () = sleep_until(next.unwrap_or(self.origin)), if next.is_some() => {
                    let Some(due) = checks.next() else { continue };
                    if flights.len() < self.in_flight {
                        self.sent.fetch_add(1, Ordering::Relaxed);
                        let connection = self.idle[due.node].pop();
                        flights.push(fly(self.target, self.origin, due, connection).boxed());
                    } else {
                        visit(None);
                    }
                }
                else => return,
            }
        }
    }
}

/// The end of a check: its node, the connection, if that can be used again, and the record.
type Flight = (usize, Option<Box<dyn Connection>>, CheckRecord);

/// Makes a check, on a new connection where there is none. Gives the connection back unless the
/// answer may have broken it.
async fn fly(
    target: &dyn Target,
    origin: Instant,
    due: DueCheck,
    connection: Option<Box<dyn Connection>>,
) -> Flight {
    let DueCheck { at, node, check } = due;
    let name = target.nodes()[node].clone();
    let asked = origin.elapsed();
    let opened = match connection {
        Some(connection) => Ok(connection),
        None => match timeout(check.deadline, target.connect(node)).await {
            Ok(opened) => opened.map_err(|e| e.to_string()),
            Err(_) => Err(format!(
                "no connection within {} ms",
                check.deadline.as_millis()
            )),
        },
    };
    let (record, connection) = match opened {
        Ok(mut connection) => {
            let record = CheckRecord::make(&mut *connection, &check, name, origin).await;
            let usable = record.operation.outcome != Outcome::Unknown;
            (record, usable.then_some(connection))
        }
        // Never sent.
        Err(detail) => {
            let complete = origin.elapsed();
            let operation = Operation::new(check.key, name, asked, complete, Outcome::Failed);
            let record = CheckRecord {
                operation: operation.costing(check.cost),
                latency: Duration::ZERO,
                detail,
                seen: String::new(),
            };
            (record, None)
        }
    };
    let latency = at.elapsed();
    (node, connection, CheckRecord { latency, ..record })
}
