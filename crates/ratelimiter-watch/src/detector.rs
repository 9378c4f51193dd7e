use std::sync::Arc;
use std::time::Duration;

use ratelimiter_api::{Endpoint, Key};
use ratelimiter_invariants::Monitor;
use ratelimiter_store::StoreUrl;
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::{Observer, Round, ViolationLog};

/// Rounds kept for a slow subscriber: about ten seconds.
const ROUNDS: usize = 64;

/// Observes a cluster, judges every round, and publishes it. Stops when dropped.
///
/// ```text
///  Observer --observation--> Monitor --changes--> Round --> subscribers (charts, recorder, output)
///                                                   +-----> ViolationLog (violations so far)
/// ```
#[derive(Debug)]
pub struct Detector {
    log: watch::Receiver<ViolationLog>,
    rounds: broadcast::Sender<Arc<Round>>,
    clock: DetectorClock,
    task: AbortHandle,
}

/// The clock of observations and violations: time since the observer started.
#[derive(Clone, Copy, Debug)]
pub struct DetectorClock(Instant);

impl Detector {
    /// Starts to observe: every key, or `only` one. Needs a tokio runtime.
    pub fn start(
        endpoints: &[Endpoint],
        store: StoreUrl,
        admin_token: Option<&str>,
        only: Option<Key>,
    ) -> Self {
        let mut observer = Observer::new(endpoints, store).with_token(admin_token);
        if let Some(key) = only {
            observer = observer.only(vec![key]);
        }
        let clock = DetectorClock(observer.started());
        let (rounds, _) = broadcast::channel(ROUNDS);
        let (publish, log) = watch::channel(ViolationLog::default());
        let task = tokio::spawn({
            let rounds = rounds.clone();
            async move {
                let mut monitor = Monitor::default();
                loop {
                    let observation = observer.next().await;
                    let changes = monitor.observe(&observation);
                    observer.follow(monitor.suspects());
                    let round = Arc::new(Round {
                        observation,
                        changes,
                    });
                    // A round without a subscriber is still in the log.
                    let _ = rounds.send(Arc::clone(&round));
                    publish.send_modify(|log| log.note(round, monitor.active()));
                }
            }
        })
        .abort_handle();
        Self {
            log,
            rounds,
            clock,
            task,
        }
    }

    /// Every round from now on. Ends when the detector is dropped.
    pub fn rounds(&self) -> broadcast::Receiver<Arc<Round>> {
        self.rounds.subscribe()
    }

    /// The clock of observations and violations.
    pub fn clock(&self) -> DetectorClock {
        self.clock
    }

    /// The log so far.
    pub fn log(&self) -> ViolationLog {
        self.log.borrow().clone()
    }

    /// Waits until `shows` finds something in the log; `None` when `patience` is over.
    pub async fn wait<T>(
        &self,
        patience: Duration,
        shows: impl Fn(&ViolationLog) -> Option<T>,
    ) -> Option<T> {
        let mut log = self.log.clone();
        let seen = timeout(patience, log.wait_for(|log| shows(log).is_some()))
            .await
            .ok()?
            .ok()?;
        shows(&seen)
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl DetectorClock {
    /// The time of an instant; zero for one before the start.
    pub fn at(self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.0)
    }

    /// The instant of a time.
    pub fn instant(self, at: Duration) -> Instant {
        self.0 + at
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::RecvError;

    use super::*;

    #[tokio::test]
    async fn subscriptions_end_when_the_detector_is_dropped() {
        let store = "redis://127.0.0.1:1".parse().unwrap();
        let detector = Detector::start(&[], store, None, None);
        let mut rounds = detector.rounds();
        let round = rounds.recv().await.unwrap();
        assert!(
            round.observation.store.is_none(),
            "no store listens on port 1"
        );
        drop(detector);
        let end = async {
            loop {
                match rounds.recv().await {
                    Err(RecvError::Closed) => break,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                }
            }
        };
        timeout(Duration::from_secs(30), end).await.unwrap();
    }
}
