use std::sync::Arc;
use std::time::Duration;

use demo_core::{ChaosConfig, ChaosType};
use ratelimiter_api::{CheckRequest, Endpoint, Key, NodeConnection, NodeId, Operation};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::steady::outcome_of;
use crate::{ChaosError, Scope, Tally};

/// The most checks one burst sends: each has a connection of its own.
pub const MAX_REQUESTS: u64 = 10_000;

/// Connections opened at the same time, so that no accept queue overflows.
const OPENING: usize = 32;
/// How long a connection may take to open and to answer its first question.
const OPEN: Duration = Duration::from_secs(5);
/// How long a check may take. Far above what any node should need: a late answer is still an answer.
const CHECK: Duration = Duration::from_secs(5);

/// The fault: many times the limit arrives at one instant.
///
/// Every request has a connection of its own, opened and used once before. One barrier releases them all, so that they
/// reach the nodes before any node can have heard of the others' decisions.
#[derive(Clone, Debug)]
pub struct Burst {
    targets: Vec<Endpoint>,
    key: Key,
    requests: usize,
}

/// What came of a burst.
#[derive(Clone, Debug)]
pub struct BurstReport {
    /// How the requests ended.
    pub tally: Tally,
    /// When the barrier opened; the origin of `operations`.
    pub released: Instant,
    /// From the first request sent to the last: how close to one instant it was.
    pub start_skew: Duration,
    /// From the first request sent to the last answer.
    pub took: Duration,
    /// One record a request.
    pub operations: Vec<Operation>,
}

impl Burst {
    /// `limit x multiplier` checks of `key`, round-robin over `targets`. Opens nothing.
    ///
    /// # Errors
    /// When the multiplier is out of bounds, the product is above [`MAX_REQUESTS`], there are no targets, or one is
    /// outside the scope.
    pub fn new(
        targets: Vec<Endpoint>,
        key: Key,
        limit: u32,
        multiplier: u32,
        scope: Scope,
    ) -> Result<Self, ChaosError> {
        ChaosConfig::new(ChaosType::Burst { multiplier })?;
        scope.permit_nodes(&targets)?;
        let requests = u64::from(limit) * u64::from(multiplier);
        match usize::try_from(requests) {
            Ok(count) if requests <= MAX_REQUESTS => Ok(Self { targets, key, requests: count }),
            _ => Err(ChaosError::TooManyRequests(requests)),
        }
    }

    /// How many checks it sends.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Opens all connections, sends all checks at once and waits for all answers.
    ///
    /// # Errors
    /// When a connection cannot be opened, before anything is sent. After that a failure is an
    /// [`Unknown`](ratelimiter_api::Outcome::Unknown) operation.
    pub async fn fire(&self) -> Result<BurstReport, ChaosError> {
        let connections = self.open().await?;
        let barrier = Arc::new(Barrier::new(connections.len()));
        let request = Arc::new(CheckRequest::new(self.key.clone()));
        let mut flights = JoinSet::new();
        for (node, mut connection) in connections {
            let (barrier, request) = (Arc::clone(&barrier), Arc::clone(&request));
            flights.spawn(async move {
                barrier.wait().await;
                let invoke = Instant::now();
                let answer = connection.check(&request, CHECK).await;
                (node, invoke, Instant::now(), outcome_of(&answer))
            });
        }
        let flown = flights.join_all().await;
        let first = flown.iter().map(|f| f.1).min().unwrap_or_else(Instant::now);
        let last_sent = flown.iter().map(|f| f.1).max().unwrap_or(first);
        let last = flown.iter().map(|f| f.2).max().unwrap_or(first);
        let mut operations: Vec<_> = flown
            .into_iter()
            .map(|(node, invoke, complete, outcome)| Operation {
                key: self.key.clone(),
                node,
                invoke: invoke - first,
                complete: complete - first,
                outcome,
            })
            .collect();
        operations.sort_by_key(|op| op.invoke);
        let tally = operations.iter().fold(Tally::default(), |tally, op| tally.with(op.outcome));
        Ok(BurstReport {
            tally,
            released: first,
            start_skew: last_sent - first,
            took: last - first,
            operations,
        })
    }

    async fn open(&self) -> Result<Vec<(NodeId, NodeConnection)>, ChaosError> {
        let mut opened = Vec::with_capacity(self.requests);
        let mut opening = JoinSet::new();
        let mut endpoints = (0..self.requests).map(|i| self.targets[i % self.targets.len()].clone());
        loop {
            while opening.len() < OPENING
                && let Some(endpoint) = endpoints.next()
            {
                opening.spawn(async move {
                    let mut connection = NodeConnection::open(&endpoint, OPEN).await?;
                    let node = connection.warm(OPEN).await?.node;
                    Ok::<_, ChaosError>((node, connection))
                });
            }
            match opening.join_next().await {
                Some(Ok(result)) => opened.push(result?),
                Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
                None => return Ok(opened),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(limit: u32, multiplier: u32) -> Result<Burst, ChaosError> {
        let targets = vec!["http://localhost:1".parse().unwrap()];
        Burst::new(targets, Key::new("k").unwrap(), limit, multiplier, Scope::ThisMachine)
    }

    #[test]
    fn a_burst_has_bounds() {
        assert_eq!(burst(10, 2).unwrap().requests(), 20);
        assert!(burst(10, 0).unwrap_err().to_string().contains("multiplier is 0"));
        assert!(burst(1_000_000, 100).unwrap_err().to_string().contains("100000000 requests"));
    }
}
