use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use ratelimiter_api::{Endpoint, Key, Operation, Outcome};
use ratelimiter_target::{Check, HttpTarget, Target};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{ChaosError, Due, Landed, Pace, Reach};

/// Checks in flight at once. One that finds no place is not sent, and counted as skipped.
const IN_FLIGHT: usize = 1024;
/// How long a check may take.
const CHECK: Duration = Duration::from_secs(2);
/// How many operations are remembered; the oldest are forgotten.
const REMEMBERED: usize = 100_000;

/// A background workload that keeps its pace, also when nodes are slow (an open model): a node that
/// answers slowly gets no fewer checks, and latency is measured from when a check was due, not from
/// when it could be sent.
#[derive(Clone)]
pub struct Steady {
    target: Arc<dyn Target>,
    keys: Vec<Key>,
    rate: f64,
}

/// How checks ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Admitted.
    pub allowed: u64,
    /// Denied.
    pub denied: u64,
    /// Not admitted, for another reason than quota.
    pub failed: u64,
    /// Without a complete answer.
    pub unknown: u64,
    /// Not sent, since too many were in flight.
    pub skipped: u64,
}

impl Tally {
    /// With one more outcome.
    #[must_use]
    pub fn with(mut self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Allowed => self.allowed += 1,
            Outcome::Denied => self.denied += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Unknown => self.unknown += 1,
        }
        self
    }

    /// How many were sent.
    pub fn sent(&self) -> u64 {
        self.allowed + self.denied + self.failed + self.unknown
    }
}

/// Time from when a check was due to its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half were faster.
    pub p50: Duration,
    /// Of a hundred, one was slower.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
}

/// The result of a workload.
#[derive(Clone, Debug)]
pub struct SteadyReport {
    /// How the checks ended.
    pub tally: Tally,
    /// How long they took.
    pub latency: Latency,
    /// When it began; the origin of `operations`.
    pub started: Instant,
    /// One record a check, the last hundred thousand.
    pub operations: Vec<Operation>,
}

/// A workload that runs. Dropping it stops it.
#[derive(Debug)]
pub struct SteadyHandle {
    started: Instant,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug)]
struct Heard {
    tally: Tally,
    micros: Histogram<u64>,
    operations: Vec<Operation>,
}

impl fmt::Debug for Steady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Steady({} keys at {} checks/s each)",
            self.keys.len(),
            self.rate
        )
    }
}

impl Steady {
    /// `rate` checks a second of every key, round-robin over nodes of this project. Opens nothing.
    ///
    /// # Errors
    /// When there are no targets or no keys, a target is outside the reach, or the rate is not
    /// above 0 and at most 10,000.
    pub fn new(
        targets: &[Endpoint],
        keys: Vec<Key>,
        rate: f64,
        reach: Reach,
    ) -> Result<Self, ChaosError> {
        Self::over(Arc::new(HttpTarget::node(targets, reach)?), keys, rate)
    }

    /// `rate` checks a second of every key, round-robin over the nodes of any target. Opens
    /// nothing.
    ///
    /// # Errors
    /// When there are no keys, or the rate is not above 0 and at most 10,000.
    pub fn over(target: Arc<dyn Target>, keys: Vec<Key>, rate: f64) -> Result<Self, ChaosError> {
        if keys.is_empty() {
            return Err(ChaosError::NoKeys);
        }
        if !(rate > 0.0 && rate <= 10_000.0) {
            return Err(ChaosError::Rate(rate));
        }
        Ok(Self { target, keys, rate })
    }

    /// Begins to send.
    pub fn start(self) -> SteadyHandle {
        let started = Instant::now();
        let stop = CancellationToken::new();
        let heard = Arc::new(Mutex::new(Heard::nothing()));
        let task = tokio::spawn(self.send(started, stop.clone(), Arc::clone(&heard)));
        SteadyHandle {
            started,
            stop,
            task: Some(task),
            heard,
        }
    }

    async fn send(self, started: Instant, stop: CancellationToken, heard: Arc<Mutex<Heard>>) {
        let (keys, nodes) = (self.keys.len() as u64, self.target.nodes().len() as u64);
        // Keys by turns, and each key's checks over all nodes by turns.
        let due = |n: u64| {
            let (turn, key) = (n / keys, n % keys);
            Due {
                at: started + Duration::from_secs_f64(n as f64 / (self.rate * keys as f64)),
                node: ((turn + key) % nodes) as usize,
                check: Check {
                    key: self.keys[key as usize].clone(),
                    cost: 1,
                    deadline: CHECK,
                },
            }
        };
        let pace = Pace::new(&*self.target, started)
            .in_flight(IN_FLIGHT)
            .until(stop);
        pace.send((0..).map(due), |landed| match landed {
            Some(Landed {
                operation, latency, ..
            }) => lock(&heard).note(operation, latency),
            None => lock(&heard).tally.skipped += 1,
        })
        .await;
    }
}

impl Heard {
    fn nothing() -> Self {
        // One microsecond to one minute, with three digits.
        let micros = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
        Self {
            tally: Tally::default(),
            micros,
            operations: Vec::new(),
        }
    }

    fn note(&mut self, operation: Operation, latency: Duration) {
        self.tally = self.tally.with(operation.outcome);
        self.micros
            .saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        if self.operations.len() >= REMEMBERED {
            self.operations.drain(..REMEMBERED / 2);
        }
        self.operations.push(operation);
    }
}

impl SteadyHandle {
    /// How the checks ended so far.
    pub fn tally(&self) -> Tally {
        lock(&self.heard).tally
    }

    /// Stops sending, waits for the checks in flight, and reports.
    pub async fn stop(mut self) -> SteadyReport {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(panic) = task.await
        {
            std::panic::resume_unwind(panic.into_panic());
        }
        let mut heard = lock(&self.heard);
        let quantile = |q| Duration::from_micros(heard.micros.value_at_quantile(q));
        let latency = Latency {
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: Duration::from_micros(heard.micros.max()),
        };
        let operations = std::mem::take(&mut heard.operations);
        SteadyReport {
            tally: heard.tally,
            latency,
            started: self.started,
            operations,
        }
    }
}

impl Drop for SteadyHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_needs_keys_and_a_pace() {
        let targets = ["http://localhost:1".parse().unwrap()];
        let key = || vec![Key::new("k").unwrap()];
        let none = Steady::new(&targets, Vec::new(), 1.0, Reach::ThisMachine);
        assert!(matches!(none, Err(ChaosError::NoKeys)), "{none:?}");
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 10_001.0] {
            let refused = Steady::new(&targets, key(), rate, Reach::ThisMachine);
            assert!(
                matches!(refused, Err(ChaosError::Rate(_))),
                "{rate}: {refused:?}"
            );
        }
        assert!(Steady::new(&targets, key(), 1.0, Reach::ThisMachine).is_ok());
    }
}
