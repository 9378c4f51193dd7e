//! What is read straight from the store, past every node.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ratelimiter_api::layout::{self, Heartbeat};
use ratelimiter_api::{LimitEntry, NodeId, SharedCount, StoreSample};
use ratelimiter_store::{Link, StoreError};
use serde::de::DeserializeOwned;

/// The store's clock, and what is there to be counted.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) time_us: u64,
    pub(crate) limits: Vec<LimitEntry>,
    pub(crate) heartbeats: HashMap<NodeId, Heartbeat>,
}

/// Reads the clock, the limits and the heartbeats.
pub(crate) async fn contents(link: &Link, deadline: Duration) -> Result<Contents, StoreError> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("TIME").cmd("HGETALL").arg(layout::LIMITS).cmd("HGETALL").arg(layout::NODES);
    type Texts = HashMap<String, String>;
    let ((seconds, micros), limits, nodes): ((u64, u64), Texts, Texts) =
        link.pipeline(&pipeline, deadline).await?;
    let mut limits: Vec<LimitEntry> = limits.into_values().filter_map(|text| parse(&text)).collect();
    limits.sort_by(|a, b| a.key.cmp(&b.key));
    let heartbeats =
        nodes.into_iter().filter_map(|(id, text)| Some((NodeId::new(id), parse(&text)?))).collect();
    Ok(Contents { time_us: seconds * 1_000_000 + micros, limits, heartbeats })
}

/// What somebody else wrote there is left out.
fn parse<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// Counts every key's window before `span_end_us`.
pub(crate) async fn counts(
    link: &Link,
    limits: &[LimitEntry],
    span_end_us: u64,
    deadline: Duration,
) -> Result<StoreSample, StoreError> {
    let started = tokio::time::Instant::now();
    let mut pipeline = redis::pipe();
    for entry in limits {
        let start = format!("({}", span_end_us.saturating_sub(entry.limit.window_us()));
        pipeline.cmd("ZCOUNT").arg(layout::admissions(&entry.key, entry.epoch)).arg(start).arg(span_end_us);
    }
    // Where there is nothing to count the latency is still of interest, and so is whether it answers.
    pipeline.cmd("PING").ignore();
    let counts: Vec<u64> = link.pipeline(&pipeline, deadline).await?;
    let keys: BTreeMap<_, _> = limits
        .iter()
        .zip(counts)
        .map(|(entry, shared)| {
            (entry.key.clone(), SharedCount { limit: entry.limit, epoch: entry.epoch, shared })
        })
        .collect();
    Ok(StoreSample { latency: started.elapsed(), keys })
}
