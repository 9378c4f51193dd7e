use std::time::Duration;

use ratelimiter_api::{Endpoint, Key, Limit, NodeClient};
use ratelimiter_target::{Check, HttpTarget};
use tokio::time::Instant;

use crate::{ChaosError, Multiplier, Reach, Release, VolleyReport, volley};

/// The most checks that one burst sends to nodes of this project, and the most connections of any.
pub const MAX_REQUESTS: u64 = 10_000;

/// Deadline of a check. Far above the need of any node: a late answer is still an answer.
const CHECK: Duration = Duration::from_secs(5);

/// The fault: many times the limit arrives at one instant at the nodes of this project.
///
/// Every request waits whole in the cork of a connection of its own; then one thread releases them,
/// so that all are complete before any node can have learned of the others' decisions. [`volley`]
/// does the same to any target.
#[derive(Clone, Debug)]
pub struct Burst {
    targets: Vec<Endpoint>,
    target: HttpTarget,
    key: Key,
    requests: usize,
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

    /// Number of checks.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Opens all connections, sends all checks at once and waits for all answers.
    ///
    /// # Errors
    /// When a node does not answer its health or a connection cannot be opened, before anything is
    /// sent. After that a failure is an operation's outcome.
    pub async fn fire(&self) -> Result<VolleyReport, ChaosError> {
        let check = Check::new(self.key.clone(), 1, CHECK);
        // The nodes' own names, as in their counts.
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
        let checks = vec![check; self.requests];
        volley(&target, checks, Release::Cork, Instant::now()).await
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
