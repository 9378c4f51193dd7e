use std::time::Duration;

use ratelimiter_api::{Endpoint, Key, Limit, NodeClient, Operation};
use ratelimiter_target::{Check, HttpTarget};
use tokio::time::Instant;

use crate::volley::{Release, volley};
use crate::{ChaosError, Multiplier, Reach, Tally};

/// The most checks one burst sends: each has a connection of its own.
pub const MAX_REQUESTS: u64 = 10_000;

/// How long a check may take. Far above the need of any node: a late answer is still an answer.
const CHECK: Duration = Duration::from_secs(5);

/// The fault: many times the limit arrives at one instant at the nodes of this project.
///
/// Every request has a connection of its own and is sent but for its last byte; then one thread
/// sends the last bytes, so that all requests are complete before any node can have learned of the
/// others' decisions. [`volley`] does the same to any target.
#[derive(Clone, Debug)]
pub struct Burst {
    targets: Vec<Endpoint>,
    target: HttpTarget,
    key: Key,
    requests: usize,
}

/// The result of a burst.
#[derive(Clone, Debug)]
pub struct BurstReport {
    /// How the requests ended.
    pub tally: Tally,
    /// When the first request was complete; the origin of `operations`.
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
    /// When the product is above [`MAX_REQUESTS`], there are no targets, or one is
    /// out of reach.
    pub fn new(
        targets: Vec<Endpoint>,
        key: Key,
        limit: Limit,
        multiplier: Multiplier,
        reach: Reach,
    ) -> Result<Self, ChaosError> {
        let target = HttpTarget::node(&targets, reach)?;
        let requests = u64::from(limit.admissions()) * u64::from(multiplier.get());
        match usize::try_from(requests) {
            Ok(count) if requests <= MAX_REQUESTS => Ok(Self {
                targets,
                target,
                key,
                requests: count,
            }),
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
    /// When a node does not answer its health or a connection cannot be opened, before anything is
    /// sent. After that a failure is an operation's outcome.
    pub async fn fire(&self) -> Result<BurstReport, ChaosError> {
        let check = Check {
            key: self.key.clone(),
            cost: 1,
            deadline: CHECK,
        };
        // Nodes are named as they name themselves, so that a report and the nodes' own counts speak
        // of the same.
        let mut names = Vec::new();
        for endpoint in &self.targets {
            names.push(
                NodeClient::new(endpoint.clone(), CHECK)
                    .health()
                    .await?
                    .node,
            );
        }
        let target = self.target.clone().named(names);
        let report = volley(&target, vec![check; self.requests], Release::LastByte).await?;
        let tally = report
            .operations
            .iter()
            .fold(Tally::default(), |tally, op| tally.with(op.outcome));
        Ok(BurstReport {
            tally,
            released: report.released,
            start_skew: report.start_skew,
            took: report.took,
            operations: report.operations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(limit: i64, multiplier: u32) -> Result<Burst, ChaosError> {
        let limit = Limit::new(limit, 60).unwrap();
        let multiplier = Multiplier::new(multiplier).unwrap();
        let targets = vec!["http://localhost:1".parse().unwrap()];
        Burst::new(
            targets,
            Key::new("k").unwrap(),
            limit,
            multiplier,
            Reach::ThisMachine,
        )
    }

    #[test]
    fn a_burst_has_bounds() {
        assert_eq!(burst(10, 2).unwrap().requests(), 20);
        assert!(
            burst(1_000_000, 100)
                .unwrap_err()
                .to_string()
                .contains("100000000 requests")
        );
    }
}
