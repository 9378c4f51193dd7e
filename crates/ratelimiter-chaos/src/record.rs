use std::time::Duration;

use ratelimiter_api::{NodeId, Operation};
use ratelimiter_target::{Check, Connection};
use tokio::time::Instant;

/// The record of one check.
#[derive(Clone, Debug)]
pub struct CheckRecord {
    /// The check as its caller saw it.
    pub operation: Operation,
    /// Time from the instant at which the check was due to its answer.
    pub latency: Duration,
    /// Form of an answer that was neither allowed nor denied, and remarks on its fields.
    pub detail: String,
    /// The answer as it came, cut short; empty where none came.
    pub seen: String,
}

impl CheckRecord {
    /// Makes a check now. The times of the record count from `origin`.
    pub async fn make(
        connection: &mut dyn Connection,
        check: &Check,
        node: NodeId,
        origin: Instant,
    ) -> Self {
        let invoke = origin.elapsed();
        let answer = connection.check(check).await;
        let complete = origin.elapsed();
        let operation = Operation {
            claims: answer.claims,
            labels: check.labels.clone(),
            used: answer.used,
            held: answer.held,
            ..Operation::new(check.key.clone(), node, invoke, complete, answer.outcome)
                .costing(check.cost)
        };
        Self {
            operation,
            latency: complete - invoke,
            detail: answer.detail,
            seen: answer.seen,
        }
    }
}
