use std::collections::HashMap;
use std::time::Instant;

use ratelimiter_api::NodeId;
use ratelimiter_api::layout::{self, Heartbeat};
use ratelimiter_store::StoreError;
use redis::{FromRedisValue, Value, from_redis_value};

use super::{BACKGROUND_DEADLINE, SharedStore, Span};

/// What a node reads of the store at every sync.
#[derive(Debug)]
pub(crate) struct Refresh {
    /// The store's clock, microseconds since the Unix epoch.
    pub(crate) time_us: u64,
    /// When it was asked.
    pub(crate) sent: Instant,
    /// When the answer was there.
    pub(crate) received: Instant,
    /// The version of the limits; absent in a store without state.
    pub(crate) version: Option<u64>,
    /// Every node's last heartbeat.
    pub(crate) heartbeats: Vec<(NodeId, Heartbeat)>,
    /// One entry a span asked about, in the same order.
    pub(crate) windows: Vec<SharedWindow>,
}

/// A key's window as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedWindow {
    pub(crate) count: u64,
    pub(crate) oldest_us: Option<u64>,
}

impl SharedStore {
    /// Reads all a node needs to know, in one round trip. Reads only: it passes while the store takes no writes.
    pub(crate) async fn refresh(&self, spans: &[Span]) -> Result<Refresh, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME");
        pipeline.cmd("GET").arg(layout::LIMITS_VERSION);
        pipeline.cmd("HGETALL").arg(layout::NODES);
        for span in spans {
            span.read(&mut pipeline);
        }
        let sent = Instant::now();
        self.reads
            .run(BACKGROUND_DEADLINE, async |mut connection| {
                let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
                let received = Instant::now();
                let mut answers = answers.into_iter();
                let (seconds, micros): (u64, u64) = take(&mut answers)?;
                let version = take(&mut answers)?;
                let heartbeats: HashMap<String, String> = take(&mut answers)?;
                let mut windows = Vec::with_capacity(spans.len());
                for _ in spans {
                    let count = take(&mut answers)?;
                    let oldest: Vec<(String, u64)> = take(&mut answers)?;
                    windows.push(SharedWindow { count, oldest_us: oldest.first().map(|(_, at)| *at) });
                }
                let heartbeats = heartbeats
                    .into_iter()
                    .filter_map(|(id, text)| Some((NodeId::new(id), serde_json::from_str(&text).ok()?)))
                    .collect();
                Ok(Refresh {
                    time_us: seconds * 1_000_000 + micros,
                    sent,
                    received,
                    version,
                    heartbeats,
                    windows,
                })
            })
            .await
    }
}

fn take<T: FromRedisValue>(answers: &mut impl Iterator<Item = Value>) -> redis::RedisResult<T> {
    Ok(from_redis_value(answers.next().unwrap_or(Value::Nil))?)
}
