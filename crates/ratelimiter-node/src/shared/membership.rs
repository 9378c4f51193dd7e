use std::sync::LazyLock;

use ratelimiter_api::NodeId;
use ratelimiter_api::layout::{self, Heartbeat};
use ratelimiter_store::StoreError;
use redis::Script;
use tokio::time::Instant;

use super::store::{BACKGROUND_DEADLINE, SharedStore};
use crate::clock::{ClockFields, ClockReading, OffsetChange, StoreClock};

static BEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("beat.lua")));

impl SharedStore {
    /// Writes this node's heartbeat, keeps the common clock, and removes nodes that have sent none
    /// for long. Returns the heartbeat that it replaced.
    pub(crate) async fn beat(
        &self,
        id: &NodeId,
        beat: &Heartbeat,
        clock: &StoreClock,
        gone: &[NodeId],
    ) -> Result<Option<Heartbeat>, StoreError> {
        let mut call = BEAT.key(layout::NODES);
        call.key(layout::CLOCK);
        call.arg(id.as_str())
            .arg(serde_json::to_string(beat).expect("a heartbeat has string keys only"))
            .arg(if clock.is_read() {
                beat.at_us.to_string()
            } else {
                String::new()
            });
        match clock.change() {
            Some(OffsetChange { seen_us, offset_us }) => call.arg(seen_us).arg(offset_us),
            None => call.arg("").arg(""),
        };
        for id in gone {
            call.arg(id.as_str());
        }
        let call = &call;
        let place = self.membership.at(layout::NODES);
        let beat = place.run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
            call.invoke_async::<Option<Vec<u8>>>(&mut connection).await
        });
        let replaced = self.written(beat.await)?;
        Ok(replaced.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// The last heartbeat under an id, and the store's clock.
    pub(crate) async fn heartbeat(
        &self,
        id: &NodeId,
    ) -> Result<(Option<Heartbeat>, ClockReading), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline
            .hget(layout::NODES, id.as_str())
            .cmd("TIME")
            .hmget(layout::CLOCK, &layout::CLOCK_FIELDS);
        let (text, clock): (Option<String>, ClockReading) = self
            .reads
            .at(layout::NODES)
            .run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
                let sent = Instant::now();
                let (text, time, fields): (_, _, ClockFields) =
                    pipeline.query_async(&mut connection).await?;
                let reading = ClockReading::new(time, fields, sent, Instant::now());
                Ok((text, reading))
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
        let (link, place) = (&self.membership, layout::NODES);
        let left = self.write::<(u64,)>(link, place, &pipeline, BACKGROUND_DEADLINE);
        left.await.map(drop)
    }
}
