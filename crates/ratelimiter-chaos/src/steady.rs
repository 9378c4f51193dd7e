use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use ratelimiter_api::{Endpoint, Key, Operation};
use ratelimiter_target::{Check, HttpTarget, Target};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::writes_held::finished;
use crate::{ChaosError, CheckRecord, CheckTally, DueCheck, PacedChecks, Reach};

/// Checks in flight at once. One that finds no place is not sent, and counted as skipped.
const IN_FLIGHT: usize = 1024;
/// Deadline of a check.
const CHECK: Duration = Duration::from_secs(2);
/// Number of operations that are kept; the oldest are dropped.
const REMEMBERED: usize = 100_000;

/// A background workload that keeps its pace, also when nodes are slow (an open model): a node that
/// answers slowly gets no fewer checks, and latency is measured from when a check was due, not from
/// when it could be sent.
#[derive(Clone)]
pub struct SteadyLoad {
    target: Arc<dyn Target>,
    keys: Vec<Key>,
    rate: f64,
}

/// Time from when a check was due to its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencySummary {
    /// Median.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
    /// Largest latency.
    pub max: Duration,
}

/// The result of a workload.
#[derive(Clone, Debug)]
pub struct SteadyReport {
    /// The outcomes.
    pub tally: CheckTally,
    /// The latency of the checks.
    pub latency: LatencySummary,
    /// When it began; the origin of `operations`.
    pub started: Instant,
    /// One record a check, the last hundred thousand.
    pub operations: Vec<Operation>,
}

/// A workload that runs. Dropping it stops it.
#[derive(Debug)]
pub struct SteadyHandle {
    started: Instant,
    stop: DropGuard,
    task: JoinHandle<()>,
    sent: Arc<AtomicU64>,
    measured: Arc<Mutex<Measurements>>,
}

#[derive(Debug)]
struct Measurements {
    tally: CheckTally,
    micros: Histogram<u64>,
    operations: Vec<Operation>,
}

impl fmt::Debug for SteadyLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SteadyLoad({} keys at {} checks/s each)",
            self.keys.len(),
            self.rate
        )
    }
}

impl SteadyLoad {
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
        let measured = Arc::new(Mutex::new(Measurements::new()));
        let sent = Arc::default();
        let task = tokio::spawn(self.send(
            started,
            stop.clone(),
            Arc::clone(&sent),
            Arc::clone(&measured),
        ));
        SteadyHandle {
            started,
            stop: stop.drop_guard(),
            task,
            sent,
            measured,
        }
    }

    async fn send(
        self,
        started: Instant,
        stop: CancellationToken,
        sent: Arc<AtomicU64>,
        measured: Arc<Mutex<Measurements>>,
    ) {
        let (keys, nodes) = (self.keys.len() as u64, self.target.nodes().len() as u64);
        // Keys by turns, and each key's checks over all nodes by turns.
        let due = |n: u64| {
            let (turn, key) = (n / keys, n % keys);
            DueCheck {
                at: started + Duration::from_secs_f64(n as f64 / (self.rate * keys as f64)),
                node: ((turn + key) % nodes) as usize,
                check: Check::new(self.keys[key as usize].clone(), 1, CHECK),
            }
        };
        let checks = PacedChecks::new(&*self.target, started)
            .in_flight(IN_FLIGHT)
            .counting(sent)
            .until(stop);
        checks
            .send((0..).map(due), |record| match record {
                Some(record) => measured.lock().note(record),
                None => measured.lock().tally.skipped += 1,
            })
            .await;
    }
}

impl Measurements {
    fn new() -> Self {
        // One microsecond to one minute, with three digits.
        let micros = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
        Self {
            tally: CheckTally::default(),
            micros,
            operations: Vec::new(),
        }
    }

    fn note(&mut self, record: CheckRecord) {
        self.tally.add(record.operation.outcome);
        let micros = u64::try_from(record.latency.as_micros());
        self.micros.saturating_record(micros.unwrap_or(u64::MAX));
        if self.operations.len() >= REMEMBERED {
            self.operations.drain(..REMEMBERED / 2);
        }
        self.operations.push(record.operation);
    }
}

impl SteadyHandle {
    /// The outcomes so far, and the checks that wait for their answer.
    pub fn tally(&self) -> CheckTally {
        let tally = self.measured.lock().tally;
        let sent = self.sent.load(Ordering::Relaxed);
        CheckTally {
            waiting: sent.saturating_sub(tally.sent()),
            ..tally
        }
    }

    /// Stops sending, waits for the checks in flight, and reports.
    pub async fn stop(mut self) -> SteadyReport {
        drop(self.stop);
        finished(&mut self.task).await;
        let mut measured = self.measured.lock();
        let quantile = |q| Duration::from_micros(measured.micros.value_at_quantile(q));
        let latency = LatencySummary {
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: Duration::from_micros(measured.micros.max()),
        };
        let operations = std::mem::take(&mut measured.operations);
        SteadyReport {
            tally: measured.tally,
            latency,
            started: self.started,
            operations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_needs_keys_and_a_pace() {
        let targets = ["http://localhost:1".parse().unwrap()];
        let key = || vec![Key::new("k").unwrap()];
        let none = SteadyLoad::new(&targets, Vec::new(), 1.0, Reach::ThisMachine);
        assert!(matches!(none, Err(ChaosError::NoKeys)), "{none:?}");
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 10_001.0] {
            let refused = SteadyLoad::new(&targets, key(), rate, Reach::ThisMachine);
            assert!(
                matches!(refused, Err(ChaosError::Rate(_))),
                "{rate}: {refused:?}"
            );
        }
        assert!(SteadyLoad::new(&targets, key(), 1.0, Reach::ThisMachine).is_ok());
    }
}
