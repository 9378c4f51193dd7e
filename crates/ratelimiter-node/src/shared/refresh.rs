use std::collections::HashMap;
use std::time::Instant;

use ratelimiter_api::NodeId;
use ratelimiter_api::layout::{self, Heartbeat};
use ratelimiter_store::StoreError;
use redis::Value;

use super::members::Members;
use super::span::{SharedWindow, Span, take};
use super::store::{BACKGROUND_DEADLINE, SharedStore};
use crate::clock::Reading;

/// What a node reads of the store at every sync.
#[derive(Debug)]
pub(crate) struct Refresh {
    pub(crate) clock: Reading,
    /// The version of the limits; zero in a store without any.
    pub(crate) version: u64,
    /// The life of the store's state; empty in a store without any.
    pub(crate) life: String,
    /// The version before which deletions may be missing from the changes.
    pub(crate) floor: u64,
    /// Every node's last heartbeat.
    pub(crate) heartbeats: Vec<(NodeId, Heartbeat)>,
    /// One entry a span asked about, in the same order.
    pub(crate) windows: Vec<SharedWindow>,
}

impl SharedStore {
    /// Reads all a node needs to know, in one round trip. Reads only: it passes while the store takes no writes.
    pub(crate) async fn refresh(&self, members: &Members, spans: &[&Span]) -> Result<Refresh, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME");
        pipeline.cmd("GET").arg(layout::LIMITS_VERSION);
        pipeline.cmd("HMGET").arg(layout::LIMITS_STATE).arg("life").arg("floor");
        pipeline.cmd("HGETALL").arg(layout::NODES);
        spans.iter().for_each(|span| span.read(members, &mut pipeline));
        self.reads
            .run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
                let sent = Instant::now();
                let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
                let received = Instant::now();
                let mut answers = answers.into_iter();
                let clock = Reading::new(take(&mut answers)?, sent, received);
                let version: Option<u64> = take(&mut answers)?;
                let (life, floor): (Option<String>, Option<u64>) = take(&mut answers)?;
                let heartbeats: HashMap<String, String> = take(&mut answers)?;
                let windows: Result<_, _> = spans.iter().map(|span| span.answer(&mut answers)).collect();
                let heartbeats = heartbeats
                    .into_iter()
                    .filter_map(|(id, text)| Some((NodeId::new(id), serde_json::from_str(&text).ok()?)))
                    .collect();
                Ok(Refresh {
                    clock,
                    version: version.unwrap_or(0),
                    life: life.unwrap_or_default(),
                    floor: floor.unwrap_or(0),
                    heartbeats,
                    windows: windows?,
                })
            })
            .await
    }
}
