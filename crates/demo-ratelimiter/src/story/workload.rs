use ratelimiter_api::{Key, Limit};
use ratelimiter_chaos::{ChaosError, Steady, SteadyHandle};

use crate::subject::Subject;

/// The keys of the steady workload.
pub(super) const KEYS: [&str; 3] = ["api-users", "api-orders", "api-products"];
/// Each key's limit, and its window in seconds. A window shorter than the pause makes the drift as large as it gets,
/// and lets the shared count be seen to run empty.
const LIMIT: (i64, i64) = (100, 4);
/// Checks a second of each key: 80 of 100 in a window, so that nothing is denied and no limit is exceeded.
const RATE: f64 = 20.0;

pub(super) fn keys() -> Vec<Key> {
    KEYS.iter().map(|k| Key::new(k).expect("the workload's keys are valid")).collect()
}

pub(super) fn limit() -> Limit {
    Limit::new(LIMIT.0, LIMIT.1).expect("the workload's limit is valid")
}

pub(super) fn describe() -> String {
    format!("{} at {RATE} checks/s each, limit {}", KEYS.join(", "), limit())
}

/// Starts the workload.
pub(super) fn start(subject: &Subject) -> Result<SteadyHandle, ChaosError> {
    Ok(Steady::new(subject.endpoints.clone(), keys(), RATE, subject.scope)?.start())
}

/// Stops the workload, if it runs, and keeps what came of it.
pub(super) async fn stop(subject: &Subject) {
    let handle = subject.acts().workload.take();
    if let Some(handle) = handle {
        let report = handle.stop().await;
        subject.acts().workload_done = Some(report);
    }
}
