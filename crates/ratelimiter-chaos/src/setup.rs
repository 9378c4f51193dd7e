use std::time::Duration;

use ratelimiter_api::{Key, LimitEntry, LimitSpec, NodeClient};
use tokio::time::{Instant, sleep};

use crate::ChaosError;

/// The window of a limit unless another one is given.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(60);

/// Longest time until the other nodes have a limit; one sync interval is usual.
const KNOWN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Sets a limit through the first node and waits until every node knows it.
///
/// # Errors
/// When the first node refuses it, or another does not know it within five seconds.
pub async fn setup_rate_limit(
    nodes: &[NodeClient],
    spec: &LimitSpec,
) -> Result<LimitEntry, ChaosError> {
    let entry = nodes
        .first()
        .ok_or(ChaosError::NoTargets)?
        .set_limit(spec)
        .await?;
    await_limit(nodes, &entry).await?;
    Ok(entry)
}

/// Begins a new counter for a key that has a limit, and waits until every node counts in it.
///
/// # Errors
/// When the first node refuses, or another does not know the new counter within five seconds.
pub async fn reset_counter(nodes: &[NodeClient], key: &Key) -> Result<LimitEntry, ChaosError> {
    let entry = nodes
        .first()
        .ok_or(ChaosError::NoTargets)?
        .reset_counter(key)
        .await?;
    await_limit(nodes, &entry).await?;
    Ok(entry)
}

async fn await_limit(nodes: &[NodeClient], entry: &LimitEntry) -> Result<(), ChaosError> {
    let asked = Instant::now();
    for node in nodes {
        while !node.limits().await?.contains(entry) {
            if asked.elapsed() > KNOWN {
                let (endpoint, key) = (node.endpoint().to_string(), entry.key.to_string());
                return Err(ChaosError::LimitNotKnown {
                    endpoint,
                    key,
                    after: asked.elapsed(),
                });
            }
            sleep(POLL).await;
        }
    }
    Ok(())
}
