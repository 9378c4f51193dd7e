use ratelimiter_api::NodeId;
use ratelimiter_api::layout::{self, Heartbeat};
use ratelimiter_store::StoreError;
use redis::cmd;

use super::{BACKGROUND_DEADLINE, SharedStore};

impl SharedStore {
    /// Says that this node is there, and removes those that have not said so for long.
    pub(crate) async fn beat(
        &self,
        id: &NodeId,
        beat: &Heartbeat,
        gone: &[NodeId],
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(beat).expect("a heartbeat has string keys only");
        let mut pipeline = redis::pipe();
        pipeline.cmd("HSET").arg(layout::NODES).arg(id.as_str()).arg(text).ignore();
        for id in gone {
            pipeline.cmd("HDEL").arg(layout::NODES).arg(id.as_str()).ignore();
        }
        self.written(self.membership.pipeline(&pipeline, BACKGROUND_DEADLINE).await)
    }

    /// Says that this node is leaving.
    pub(crate) async fn leave(&self, id: &NodeId) -> Result<(), StoreError> {
        let mut command = cmd("HDEL");
        command.arg(layout::NODES).arg(id.as_str());
        let left: Result<u64, _> = self.membership.query(&command, BACKGROUND_DEADLINE).await;
        self.written(left).map(drop)
    }
}
