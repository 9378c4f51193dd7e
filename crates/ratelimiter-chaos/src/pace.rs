use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use ratelimiter_api::{Claims, NodeId, Operation, Outcome};
use ratelimiter_target::{Answer, Check, Connection, Target};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::ChaosError;
use crate::volley::open;

/// A check that is to be sent at an instant.
#[derive(Clone, Debug)]
pub struct Due {
    /// The instant.
    pub at: Instant,
    /// Its node, an index into the target's.
    pub node: usize,
    /// The check.
    pub check: Check,
}

/// A check that has its answer.
#[derive(Clone, Debug)]
pub struct Landed {
    /// Its record.
    pub operation: Operation,
    /// Time from when it was due to its answer.
    pub latency: Duration,
    /// Form of an answer that was neither allowed nor denied; else empty.
    pub detail: String,
}

/// Checks that keep their pace, also when a target is slow (an open model): each is sent when it is
/// due, on a connection that no other one uses. A connection is used again after an answer; a check
/// whose connection cannot be opened has failed.
///
/// [`Steady`](crate::Steady) sends them in the background.
pub struct Pace<'a> {
    target: &'a dyn Target,
    origin: Instant,
    in_flight: usize,
    stop: CancellationToken,
    /// Connections without a check, by node.
    idle: Vec<Vec<Box<dyn Connection>>>,
}

impl<'a> Pace<'a> {
    /// For checks whose records count from `origin`. Opens nothing.
    pub fn new(target: &'a dyn Target, origin: Instant) -> Self {
        let idle = target.nodes().iter().map(|_| Vec::new()).collect();
        Self {
            target,
            origin,
            in_flight: usize::MAX,
            stop: CancellationToken::new(),
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

    /// Opens a connection to each node.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn warmed(mut self) -> Result<Self, ChaosError> {
        let opened = open(self.target, self.idle.len()).await?;
        self.idle
            .iter_mut()
            .zip(opened)
            .for_each(|(idle, (_, connection))| idle.push(connection));
        Ok(self)
    }

    /// Sends the checks, which are in the order of their instants, and waits for all answers.
    /// `visit` has each as it comes, and nothing for one that was skipped.
    pub async fn send<I>(mut self, checks: I, mut visit: impl FnMut(Option<Landed>) + Send)
    where
        I: Iterator<Item = Due> + Send,
    {
        let mut checks = checks.peekable();
        let mut flights: FuturesUnordered<BoxFuture<'_, Flown>> = FuturesUnordered::new();
        loop {
            let next = checks
                .peek()
                .filter(|_| !self.stop.is_cancelled())
                .map(|due| due.at);
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if next.is_some() => {}
                Some((node, connection, landed)) = flights.next(), if !flights.is_empty() => {
                    self.idle[node].extend(connection);
                    visit(Some(landed));
                }
                () = sleep_until(next.unwrap_or(self.origin)), if next.is_some() => {
                    let Some(due) = checks.next() else { continue };
                    if flights.len() < self.in_flight {
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

/// A check that has its answer, its node and the connection, if that can be used again.
type Flown = (usize, Option<Box<dyn Connection>>, Landed);

/// Makes a check, on a new connection where there is none. Gives the connection back unless the
/// answer may have broken it.
async fn fly(
    target: &dyn Target,
    origin: Instant,
    due: Due,
    connection: Option<Box<dyn Connection>>,
) -> Flown {
    let Due { at, node, check } = due;
    let asked = Instant::now();
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
    let (invoke, answer, connection) = match opened {
        Ok(mut connection) => {
            let invoke = Instant::now();
            let answer = connection.check(&check).await;
            let usable = answer.outcome != Outcome::Unknown;
            (invoke, answer, usable.then_some(connection))
        }
        // Never sent.
        Err(detail) => (
            asked,
            Answer {
                outcome: Outcome::Failed,
                claims: Claims::default(),
                detail,
            },
            None,
        ),
    };
    let complete = Instant::now();
    let name: NodeId = target.nodes()[node].clone();
    let operation = Operation {
        claims: answer.claims,
        ..Operation::new(
            check.key,
            name,
            invoke - origin,
            complete - origin,
            answer.outcome,
        )
        .costing(check.cost)
    };
    (
        node,
        connection,
        Landed {
            operation,
            latency: complete - at,
            detail: answer.detail,
        },
    )
}
