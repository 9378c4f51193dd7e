use parking_lot::Mutex;
use ratelimiter_api::{Endpoint, Key, Limit};
use ratelimiter_chaos::{ChaosError, CheckTally, LatencySummary, Reach, SteadyHandle, SteadyLoad};
use tokio::time::Instant;

/// The keys of the steady workload.
pub(crate) const KEYS: [&str; 3] = ["api-users", "api-orders", "api-products"];
/// The limit of each key, and its window in seconds. With a window shorter than the pause the drift
/// reaches its maximum, and the shared count visibly falls to zero.
const LIMIT: (i64, i64) = (100, 4);
/// Checks per second of each key: 80 of 100 in a window, so that no check is denied and no limit is
/// exceeded.
const RATE: f64 = 20.0;

pub(crate) fn keys() -> Vec<Key> {
    KEYS.iter()
        .map(|k| Key::new(k).expect("the workload's keys are valid"))
        .collect()
}

/// The key of the workload whose counts the chart shows; the others behave alike.
pub(crate) fn charted() -> Key {
    Key::new(KEYS[0]).expect("the workload's keys are valid")
}

pub(crate) fn limit() -> Limit {
    Limit::new(LIMIT.0, LIMIT.1).expect("the workload's limit is valid")
}

pub(crate) fn describe() -> String {
    format!(
        "{} at {RATE} checks/s each, limit {}",
        KEYS.join(", "),
        limit()
    )
}

/// The checks that the story sends: the steady workload while it runs, and the bursts.
#[derive(Debug, Default)]
pub(crate) struct StoryTraffic(Mutex<TrafficState>);

#[derive(Debug, Default)]
struct TrafficState {
    workload: Option<SteadyWorkload>,
    /// Checks of bursts and of workloads that have stopped.
    ended: CheckTally,
    /// Latency of the checks of the workloads that stopped first and last.
    latencies: Option<[LatencySummary; 2]>,
}

#[derive(Debug)]
struct SteadyWorkload {
    handle: SteadyHandle,
    began: Instant,
}

impl StoryTraffic {
    /// Starts the workload unless it runs, and returns the time of its start.
    pub(crate) fn start(&self, nodes: &[Endpoint], scope: Reach) -> Result<Instant, ChaosError> {
        let mut state = self.0.lock();
        if let Some(running) = &state.workload {
            return Ok(running.began);
        }
        let handle = SteadyLoad::new(nodes, keys(), RATE, scope)?.start();
        let began = Instant::now();
        state.workload = Some(SteadyWorkload { handle, began });
        Ok(began)
    }

    /// Stops the workload, if it runs.
    pub(crate) async fn stop(&self) {
        let running = self.0.lock().workload.take();
        if let Some(running) = running {
            let report = running.handle.stop().await;
            let (mut state, latest) = (self.0.lock(), report.latency);
            state.latencies = Some([state.latencies.map_or(latest, |[first, _]| first), latest]);
            drop(state);
            self.add(report.tally);
        }
    }

    /// Latency of the checks of the workloads that stopped first and last.
    pub(crate) fn latencies(&self) -> [LatencySummary; 2] {
        self.0.lock().latencies.unwrap_or_default()
    }

    /// Adds the checks of a burst.
    pub(crate) fn add(&self, tally: CheckTally) {
        let mut state = self.0.lock();
        state.ended = sum(state.ended, tally);
    }

    /// All checks so far.
    pub(crate) fn tally(&self) -> CheckTally {
        let state = self.0.lock();
        let running = state
            .workload
            .as_ref()
            .map(|w| w.handle.tally())
            .unwrap_or_default();
        sum(state.ended, running)
    }
}

fn sum(a: CheckTally, b: CheckTally) -> CheckTally {
    CheckTally {
        allowed: a.allowed + b.allowed,
        denied: a.denied + b.denied,
        failed: a.failed + b.failed,
        unknown: a.unknown + b.unknown,
        waiting: a.waiting + b.waiting,
        skipped: a.skipped + b.skipped,
    }
}
