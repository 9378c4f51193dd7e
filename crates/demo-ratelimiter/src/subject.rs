use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use diagnosis::Mechanism;
use ratelimiter_api::{CountingMode, Endpoint, Key, Limit, LimitSpec, NodeClient, StoreFailurePolicy};
use ratelimiter_chaos::{BurstReport, PauseReport, Scope, SteadyHandle, SteadyReport, Tally};
use ratelimiter_evidence::Recorder;
use ratelimiter_store::StoreUrl;
use tokio::time::Instant;

use crate::detector::Detector;
use crate::engine::DiagnosisEngine;

/// How long one request to a node may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(2);

/// What the story is about: a cluster, what is done to it, and what came of it so far.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) store: StoreUrl,
    pub(crate) nodes: Vec<NodeClient>,
    pub(crate) scope: Scope,
    /// What the burst hits.
    pub(crate) key: Key,
    pub(crate) limit: Limit,
    pub(crate) multiplier: u32,
    pub(crate) pause: Duration,
    pub(crate) counting: Option<CountingMode>,
    pub(crate) on_store_failure: Option<StoreFailurePolicy>,
    pub(crate) engine: DiagnosisEngine,
    pub(crate) detector: OnceLock<Detector>,
    pub(crate) acts: Mutex<Acts>,
}

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Acts {
    /// The steady workload while it runs, and what came of those that do not any more.
    pub(crate) workload: Option<SteadyHandle>,
    pub(crate) workload_done: Option<SteadyReport>,
    /// Which act's keys the charts show.
    pub(crate) act: Act,
    pub(crate) pause: Option<PauseReport>,
    pub(crate) max_drift: Option<Drift>,
    pub(crate) burst: Option<BurstReport>,
    /// Everything observed, as evidence.
    pub(crate) recorder: Recorder,
    /// When the act on stage began: what was before is another story.
    pub(crate) act_began: Option<Instant>,
    /// What the diagnoses named, and what they should have.
    pub(crate) diagnoses: Vec<Named>,
}

/// What a diagnosis named, and what was injected.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) anomaly: &'static str,
    pub(crate) injected: (&'static str, Mechanism),
    pub(crate) occurred: bool,
    pub(crate) named: Option<(String, Mechanism)>,
}

/// Which fault the stage belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Act {
    #[default]
    Drift,
    Burst,
}

/// The two counts of one key at the moment they were furthest apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drift {
    pub(crate) key: Key,
    pub(crate) admitted: u64,
    pub(crate) shared: u64,
}

impl Drift {
    pub(crate) fn size(&self) -> u64 {
        self.admitted.abs_diff(self.shared)
    }
}

impl Subject {
    pub(crate) fn acts(&self) -> MutexGuard<'_, Acts> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The detector, which is started before the story is.
    pub(crate) fn detector(&self) -> &Detector {
        self.detector.get().expect("the detector is started before the story")
    }

    /// A limit counted the way the command line says.
    pub(crate) fn spec(&self, key: &Key, limit: Limit) -> LimitSpec {
        LimitSpec {
            counting: self.counting,
            on_store_failure: self.on_store_failure,
            ..LimitSpec::new(key.clone(), limit)
        }
    }
}

impl Acts {
    /// Checks sent so far, by the workloads and the burst.
    pub(crate) fn tally(&self) -> Tally {
        let parts = [
            self.workload.as_ref().map(SteadyHandle::tally),
            self.workload_done.as_ref().map(|r| r.tally),
            self.burst.as_ref().map(|b| b.tally),
        ];
        parts.into_iter().flatten().fold(Tally::default(), |sum, part| Tally {
            allowed: sum.allowed + part.allowed,
            denied: sum.denied + part.denied,
            unknown: sum.unknown + part.unknown,
            skipped: sum.skipped + part.skipped,
        })
    }
}
