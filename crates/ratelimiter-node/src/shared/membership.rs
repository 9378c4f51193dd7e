use ratelimiter_api::NodeId;
use ratelimiter_api::layout::{self, Heartbeat};
use ratelimiter_store::StoreError;
use redis::{FromRedisValue, Pipeline};
use tokio::time::Instant;

use super::store::{BACKGROUND_DEADLINE, SharedStore};
use crate::clock::ClockReading;

impl SharedStore {
    /// Writes this node's heartbeat, and removes nodes that have sent none for long. Returns the
    /// heartbeat that it replaced.
    pub(crate) async fn beat(
        &self,
        id: &NodeId,
        beat: &Heartbeat,
        gone: &[NodeId],
    ) -> Result<Option<Heartbeat>, StoreError> {
        let text = serde_json::to_string(beat).expect("a heartbeat has string keys only");
        let mut pipeline = redis::pipe();
        pipeline.hget(layout::NODES, id.as_str());
        pipeline.hset(layout::NODES, id.as_str(), text).ignore();
        for id in gone {
            pipeline.hdel(layout::NODES, id.as_str()).ignore();
        }
        let (replaced,): (Option<String>,) = self.write_membership(&pipeline).await?;
        Ok(replaced.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The last heartbeat under an id, and the store's clock.
    pub(crate) async fn heartbeat(
        &self,
        id: &NodeId,
    ) -> Result<(Option<Heartbeat>, ClockReading), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.hget(layout::NODES, id.as_str()).cmd("TIME");
        let (text, clock): (Option<String>, ClockReading) = self
            .reads
            .at(layout::NODES)
            .run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
                let sent = Instant::now();
                let (text, time) = pipeline.query_async(&mut connection).await?;
                Ok((text, ClockReading::new(time, sent, Instant::now())))
            })
            .await?;
        Ok((
            text.and_then(|text| serde_json::from_str(&text).ok()),
            clock,
        ))
    }

    /// Removes this node's heartbeat.
    pub(crate) async fn leave(&self, id: &NodeId) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.hdel(layout::NODES, id.as_str());
        self.write_membership::<(u64,)>(&pipeline).await.map(drop)
    }

    async fn write_membership<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let (link, place) = (&self.membership, layout::NODES);
        self.write(link, place, pipeline, BACKGROUND_DEADLINE).await
    }
}
