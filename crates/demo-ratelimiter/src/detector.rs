use std::sync::Arc;
use std::time::Duration;

use demo_core::{Finding, FindingState, Severity, Stage};
use ratelimiter_api::{Endpoint, Key, Observation};
use ratelimiter_health::Observer;
use ratelimiter_invariants::{
    self as invariants, Change, Invariant, Monitor, Subject, Thresholds, Violation,
};
use ratelimiter_store::{StoreError, StoreUrl};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// Observes the cluster, judges every round, and remembers what it found. Stops when dropped.
#[derive(Debug)]
pub(crate) struct Detector {
    log: watch::Receiver<Log>,
    /// The origin of the times of observations and violations.
    started: Instant,
    tasks: [AbortHandle; 2],
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// The latest round.
    pub(crate) latest: Option<Arc<Observation>>,
    /// Every violation, in the order in which it was raised.
    pub(crate) found: Vec<Found>,
}

/// One violation from when it was raised, and when that was on this process's clock.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) violation: Violation,
    pub(crate) raised: Instant,
    pub(crate) cleared: Option<Instant>,
}

impl Detector {
    /// Starts to observe. What it finds goes to the stage, and so does every round, by way of `round`.
    pub(crate) fn start(
        endpoints: &[Endpoint],
        store: StoreUrl,
        stage: Stage,
        mut round: impl FnMut(&Stage, &Observation) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let observer = Observer::new(endpoints, store)?;
        let started = observer.started();
        let origin = stage.at(started);
        let (observations, mut heard) = mpsc::channel(16);
        let (sender, log) = watch::channel(Log::default());
        let observing = tokio::spawn(observer.run(observations)).abort_handle();
        let judging = tokio::spawn(async move {
            let mut monitor = Monitor::new(Thresholds::default());
            while let Some(observation) = heard.recv().await {
                let changes = monitor.observe(&observation);
                round(&stage, &observation);
                for change in &changes {
                    stage.found(finding(change, origin));
                }
                sender.send_modify(|log| log.note(observation, &changes, monitor.active()));
            }
        })
        .abort_handle();
        Ok(Self { log, started, tasks: [observing, judging] })
    }

    /// When something happened on the observations' clock.
    pub(crate) fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.started)
    }

    /// What was found so far.
    pub(crate) fn log(&self) -> Log {
        self.log.borrow().clone()
    }

    /// Waits until the log shows something, or the patience is over.
    pub(crate) async fn wait<T>(&self, patience: Duration, shows: impl Fn(&Log) -> Option<T>) -> Option<T> {
        let mut log = self.log.clone();
        let seen = timeout(patience, log.wait_for(|log| shows(log).is_some())).await.ok()?.ok()?;
        shows(&seen)
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Log {
    fn note<'a>(
        &mut self,
        observation: Observation,
        changes: &[Change],
        active: impl Iterator<Item = &'a Violation>,
    ) {
        let now = Instant::now();
        for change in changes {
            match change {
                Change::Raised(violation) => {
                    self.found.push(Found { violation: violation.clone(), raised: now, cleared: None });
                }
                Change::Cleared(violation) => {
                    if let Some(found) = self.open(violation) {
                        found.violation = violation.clone();
                        found.cleared = Some(now);
                    }
                }
            }
        }
        for violation in active {
            if let Some(found) = self.open(violation) {
                found.violation = violation.clone();
            }
        }
        self.latest = Some(Arc::new(observation));
    }

    fn open(&mut self, violation: &Violation) -> Option<&mut Found> {
        let same = |f: &&mut Found| {
            f.cleared.is_none()
                && f.violation.invariant == violation.invariant
                && f.violation.subject == violation.subject
        };
        self.found.iter_mut().find(same)
    }

    /// The first violation of an invariant raised after `since`.
    pub(crate) fn first(&self, invariant: Invariant, since: Instant) -> Option<&Found> {
        self.found.iter().find(|f| f.violation.invariant == invariant && f.raised >= since)
    }

    /// All violations raised after `since`.
    pub(crate) fn since(&self, since: Instant) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(move |f| f.raised >= since)
    }
}

/// What the nodes admitted of a key in the window, and what the store counts; nothing when anybody did not answer.
pub(crate) fn counts(observation: &Observation, key: &Key) -> Option<(u64, u64)> {
    let shared = observation.store.as_ref()?.keys.get(key)?.shared;
    let own = observation
        .nodes
        .iter()
        .map(|n| Some(n.sample.as_ref()?.keys.get(key)?.admissions))
        .sum::<Option<_>>()?;
    Some((own, shared))
}

/// A violation in the words of the story.
fn finding(change: &Change, origin: Duration) -> Finding {
    let (violation, state) = match change {
        Change::Raised(violation) => (violation, FindingState::Raised),
        Change::Cleared(violation) => (violation, FindingState::Cleared),
    };
    let subject = match &violation.subject {
        Subject::Store => "store".to_owned(),
        Subject::Node(node) => node.to_string(),
        Subject::Key(key) => key.to_string(),
    };
    Finding {
        id: format!("{}/{subject}", violation.invariant),
        name: violation.invariant.to_string(),
        subject,
        severity: match violation.severity {
            invariants::Severity::Warning => Severity::Warning,
            invariants::Severity::Critical => Severity::Critical,
        },
        state,
        first_seen: origin + violation.first_seen,
        detected_at: origin + violation.detected_at,
        evidence: violation.evidence.to_string(),
    }
}
