use std::sync::Arc;
use std::time::Duration;

use demo_ratelimiter::evidence::Recorder;
use ratelimiter_api::{
    ClientError, CountingMode, Endpoint, Key, Limit, LimitSpec, NodeClient, StoreFailurePolicy,
};
use ratelimiter_chaos::{Burst, ChaosError, Multiplier, PauseDuration, Reach};
use ratelimiter_store::StoreUrl;
use tokio::sync::watch;

use crate::engine::DiagnosisEngine;
use crate::fault::WriteFault;
use crate::traffic::StoryTraffic;
use ratelimiter_watch::{Detector, ViolationLog};

/// The subject of the story: a cluster, the faults' sizes, and the detector that observes it.
#[derive(Debug)]
pub(crate) struct DemoCluster {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) store: StoreUrl,
    pub(crate) nodes: Vec<NodeClient>,
    pub(crate) scope: Reach,
    /// Key of the burst.
    pub(crate) key: Key,
    /// Limit of that key.
    pub(crate) limit: Limit,
    /// Size of the burst, in limits.
    pub(crate) multiplier: Multiplier,
    /// Length of the write pause.
    pub(crate) pause: PauseDuration,
    pub(crate) fault: WriteFault,
    pub(crate) counting: Option<CountingMode>,
    pub(crate) on_store_failure: Option<StoreFailurePolicy>,
    pub(crate) engine: DiagnosisEngine,
    pub(crate) detector: Detector,
    pub(crate) live: LiveStory,
}

/// The parts that chapters share with the task that shows every round.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveStory {
    pub(crate) traffic: Arc<StoryTraffic>,
    pub(crate) record: watch::Sender<RoundRecord>,
}

/// Every round so far, as evidence.
#[derive(Debug, Default)]
pub(crate) struct RoundRecord {
    pub(crate) recorder: Recorder,
    /// Time of the latest round, on the observations' clock; `None` before the first.
    pub(crate) until: Option<Duration>,
}

impl DemoCluster {
    /// A limit with the counting mode and the failure policy of the command line.
    pub(crate) fn spec(&self, key: &Key, limit: Limit) -> LimitSpec {
        LimitSpec {
            counting: self.counting,
            on_store_failure: self.on_store_failure,
            ..LimitSpec::new(key.clone(), limit)
        }
    }

    /// The counting mode in which the story is played.
    pub(crate) async fn played(&self) -> Result<CountingMode, ClientError> {
        match self.counting {
            Some(counting) => Ok(counting),
            None => Ok(self.nodes[0].health().await?.counting),
        }
    }

    /// The burst of the story on a key.
    pub(crate) fn burst(&self, key: &Key) -> Result<Burst, ChaosError> {
        let (nodes, key) = (self.endpoints.clone(), key.clone());
        Burst::new(nodes, key, self.limit, self.multiplier, self.scope)
    }

    /// Waits until `shows` finds something in the detector's log and that round is shown and
    /// recorded; `None` when `patience` is over first.
    pub(crate) async fn wait<T>(
        &self,
        patience: Duration,
        shows: impl Fn(&ViolationLog) -> Option<T>,
    ) -> Option<T> {
        let with_time = |log: &ViolationLog| {
            Some((
                shows(log)?,
                log.latest.as_ref().map(|round| round.observation.at),
            ))
        };
        let (shown, at) = self.detector.wait(patience, with_time).await?;
        // The sender is a field of `self`, so the channel is open.
        let _ = self
            .live
            .record
            .subscribe()
            .wait_for(|record| record.until >= at)
            .await;
        Some(shown)
    }
}
