use std::time::Duration;

use ratelimiter_api::{Key, LimitEntry, LimitSpec, NodeClient};
use tokio::time::{Instant, sleep};

use crate::ChaosError;

/// The window of a limit unless another one is given.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(60);

/// Limits that a node takes in one request.
const AT_ONCE: usize = 1000;
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
    await_limits(nodes, std::slice::from_ref(&entry)).await?;
    Ok(entry)
}

/// Sets limits through the first node, and waits once until every node knows all of them.
///
/// # Errors
/// When the first node refuses them, or another does not know one within five seconds.
pub async fn setup_rate_limits(
    nodes: &[NodeClient],
    specs: &[LimitSpec],
) -> Result<(), ChaosError> {
    let first = nodes.first().ok_or(ChaosError::NoTargets)?;
    let mut entries = Vec::new();
    for some in specs.chunks(AT_ONCE) {
        entries.extend(first.set_limits(some.to_vec()).await?);
    }
    await_limits(nodes, &entries).await
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
    await_limits(nodes, std::slice::from_ref(&entry)).await?;
    Ok(entry)
}

async fn await_limits(nodes: &[NodeClient], entries: &[LimitEntry]) -> Result<(), ChaosError> {
    let asked = Instant::now();
    for node in nodes {
        loop {
            let known = node.limits().await?;
            let Some(entry) = entries.iter().find(|entry| !known.contains(entry)) else {
                break;
            };
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
