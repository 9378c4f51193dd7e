//! Plays a plan against a target and records every check.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ratelimiter_api::{Key, Operation, Outcome};
use ratelimiter_chaos::{ChaosError, CheckRecord, DueCheck, PacedChecks, Release, volley};
use ratelimiter_target::{Check, Connection, Target};
use tokio::time::{Instant, sleep, sleep_until};

use crate::fault::{FaultBand, FaultCommand, ReachableNodes};
use crate::plan::FAULT;
use crate::{Phase, Plan, PlanStep};

/// Time for a fault to take or lose effect.
const SETTLE: Duration = Duration::from_millis(300);

/// Different answers that a record shows.
const SEEN: usize = 8;

/// Distance of two bursts from the edge between them, at most a tenth of the window.
const BESIDE: Duration = Duration::from_millis(100);

/// The records of one step.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// The phase.
    pub phase: Phase,
    /// The keys of the step, in the order of the plan.
    pub keys: Vec<Key>,
    /// Start of the step on the wall clock.
    pub began: SystemTime,
    /// Start of the step on the clock of `operations`.
    pub at: Duration,
    /// Length of the step.
    pub took: Duration,
    /// Every check, on one clock for the whole run.
    pub operations: Vec<Operation>,
    /// The fault during the step.
    pub fault: Option<FaultBand>,
    /// From the first request of a burst to its last, and how it was released.
    pub skew: Option<(Duration, Release)>,
    /// Forms of the answers that were neither allowed nor denied.
    pub details: Vec<String>,
    /// Some of the answers as they came, cut short.
    pub seen: BTreeSet<String>,
}

/// A run that broke in one phase.
#[derive(Debug, thiserror::Error)]
#[error("{phase}: {source}")]
pub struct RunError {
    /// The phase.
    pub phase: Phase,
    /// The reason.
    pub source: StepError,
}

/// A step that could not be played.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The command of a fault could not be started.
    #[error("start sh for the command of --during: {0}")]
    Command(std::io::Error),
    /// The target could not be reached, before anything was sent.
    #[error(transparent)]
    Target(#[from] ChaosError),
}

/// Plays all steps; each check has `deadline` to be answered. `progress` is called before each step
/// with its number, and once more at the end.
///
/// # Errors
/// When the target cannot be reached, or the fault cannot be started.
pub async fn run(
    plan: &Plan,
    target: &dyn Target,
    deadline: Duration,
    mut progress: impl FnMut(usize, Option<&PlanStep>),
) -> Result<Vec<StepRecord>, RunError> {
    let clock = RunClock {
        origin: Instant::now(),
        wall: SystemTime::now(),
    };
    let mut records = Vec::new();
    for (n, step) in plan.steps.iter().enumerate() {
        progress(n, Some(step));
        if n > 0 {
            sleep(plan.rest).await;
        }
        let mut player = StepPlayer {
            plan,
            target,
            deadline,
            clock,
            record: StepRecord::new(step, clock),
        };
        let phase = step.phase;
        let played = player.play(step).await;
        played.map_err(|source| RunError { phase, source })?;
        player.record.took = clock.origin.elapsed() - player.record.at;
        records.push(player.record);
    }
    progress(plan.steps.len(), None);
    Ok(records)
}

impl StepRecord {
    fn new(step: &PlanStep, clock: RunClock) -> Self {
        let at = clock.origin.elapsed();
        Self {
            phase: step.phase,
            keys: step.keys.clone(),
            began: clock.wall + at,
            at,
            took: Duration::ZERO,
            fault: None,
            operations: Vec::new(),
            skew: None,
            details: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    fn add(&mut self, record: CheckRecord) {
        self.detail(record.detail);
        self.see(record.seen);
        self.operations.push(record.operation);
    }

    fn see(&mut self, answer: String) {
        if !answer.is_empty() && self.seen.len() < SEEN {
            self.seen.insert(answer);
        }
    }

    fn detail(&mut self, detail: String) {
        if !detail.is_empty() && !self.details.contains(&detail) {
            self.details.push(detail);
        }
    }
}

struct StepPlayer<'a> {
    plan: &'a Plan,
    target: &'a dyn Target,
    deadline: Duration,
    clock: RunClock,
    record: StepRecord,
}

/// The clock of a run: its histories count from `origin`. The wall clock is read once; its later
/// times follow from `origin`.
#[derive(Clone, Copy)]
struct RunClock {
    origin: Instant,
    wall: SystemTime,
}

impl RunClock {
    /// The next instant at which the wall clock is a whole number of windows.
    fn next_edge(self, window: Duration) -> Instant {
        let wall = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default() + self.origin.elapsed();
        let into = wall.as_nanos() % window.as_nanos().max(1);
        Instant::now() + window - Duration::from_nanos(u64::try_from(into).unwrap_or_default())
    }
}

impl StepPlayer<'_> {
    async fn play(&mut self, step: &PlanStep) -> Result<(), StepError> {
        let limit = self.plan.limit();
        let window = self.plan.contract.window();
        let key = &step.keys[0];
        match step.phase {
            Phase::Burst => self.burst(key, step.requests).await?,
            Phase::Costs => {
                let cost = self.plan.cost;
                let dearest = limit.min(3);
                let costs = (0..step.requests).map(|n| cost * (1 + (n % dearest) as u32));
                self.burst_at(self.target, key, costs).await?;
            }
            Phase::TwoKeys => {
                self.in_turn(key, limit + 5).await?;
                self.in_turn(&step.keys[1], limit).await?;
            }
            Phase::Fields => self.in_turn(key, step.requests).await?,
            Phase::Return => {
                self.in_turn(key, limit + 2).await?;
                let last = self.record.operations.last();
                let claimed = last.and_then(|op| op.claims.retry_after.or(op.claims.reset));
                let longest = window + window / 10;
                sleep(claimed.unwrap_or(longest).min(longest)).await;
                self.in_turn(key, 1).await?;
            }
            Phase::Overload => self.paced(key, 3 * limit, 9 * limit).await?,
            Phase::FirstEdge => {
                let edge = Instant::now() + window;
                self.in_turn(key, 1).await?;
                self.around(edge, key, [limit - 1, limit]).await?;
            }
            Phase::Edge => {
                let edge = self.clock.next_edge(window);
                self.around(edge, key, [limit, limit]).await?;
            }
            Phase::Steady => {
                let a_window = (limit * 4).div_ceil(5);
                self.paced(key, a_window, a_window * 3 / 2).await?;
            }
            Phase::Fault => self.fault(&step.keys[0], &step.keys[1]).await?,
        }
        Ok(())
    }

    fn check(&self, key: &Key) -> Check {
        Check {
            key: key.clone(),
            cost: self.plan.cost,
            deadline: self.deadline,
        }
    }

    async fn burst(&mut self, key: &Key, count: u64) -> Result<(), ChaosError> {
        let cost = self.plan.cost;
        self.burst_at(self.target, key, (0..count).map(|_| cost))
            .await
    }

    async fn burst_at(
        &mut self,
        target: &dyn Target,
        key: &Key,
        costs: impl Iterator<Item = u32>,
    ) -> Result<(), ChaosError> {
        let checks = costs
            .map(|cost| Check {
                cost,
                ..self.check(key)
            })
            .collect();
        let report = volley(target, checks, Release::LastByte, self.clock.origin).await?;
        self.record.operations.extend(report.operations);
        let longest = self
            .record
            .skew
            .map_or(report.start_skew, |(skew, _)| skew.max(report.start_skew));
        self.record.skew = Some((longest, report.release));
        report
            .details
            .into_iter()
            .for_each(|detail| self.record.detail(detail));
        report
            .seen
            .into_iter()
            .for_each(|seen| self.record.see(seen));
        Ok(())
    }

    /// Bursts on one key before and during the fault and after it, and on another key during and
    /// after it. A node that the fault made unreachable is no error of the run.
    async fn fault(&mut self, before: &Key, fresh: &Key) -> Result<(), StepError> {
        let limit = self.plan.limit();
        let size = limit * u64::from(self.plan.multiplier);
        let command = self.plan.during.as_deref().unwrap_or_default();
        self.burst_somewhere(before, size).await;
        let mut running = FaultCommand::start(command).map_err(StepError::Command)?;
        let until = running.started() + FAULT;
        sleep(SETTLE).await;
        self.burst_somewhere(before, size).await;
        self.burst_somewhere(fresh, size).await;
        while !running
            .ended_by(until.min(Instant::now() + Duration::from_secs(1)))
            .await
            && Instant::now() < until
        {
            self.burst_somewhere(fresh, limit).await;
        }
        sleep(SETTLE).await;
        self.burst_somewhere(before, size).await;
        self.burst_somewhere(fresh, size).await;
        self.record.fault = Some(running.band(self.clock.origin));
        Ok(())
    }

    /// A burst over the nodes that can be reached.
    async fn burst_somewhere(&mut self, key: &Key, count: u64) {
        let sent = match ReachableNodes::of(self.target).await {
            Some(reachable) => {
                let cost = self.plan.cost;
                let burst = self
                    .burst_at(&reachable, key, (0..count).map(|_| cost))
                    .await;
                burst.map_err(|e| e.to_string())
            }
            None => Err("no node accepts a connection".to_owned()),
        };
        if let Err(detail) = sent {
            self.record.detail(detail);
        }
    }

    /// Two bursts, one just before an instant and one just after it.
    async fn around(
        &mut self,
        edge: Instant,
        key: &Key,
        counts: [u64; 2],
    ) -> Result<(), ChaosError> {
        let beside = BESIDE.min(self.plan.contract.window() / 10);
        for (count, at) in counts
            .into_iter()
            .zip([edge.checked_sub(beside).unwrap_or(edge), edge + beside])
        {
            sleep_until(at).await;
            if count > 0 {
                self.burst(key, count).await?;
            }
        }
        Ok(())
    }

    /// One check after the other, over the nodes by turns.
    async fn in_turn(&mut self, key: &Key, count: u64) -> Result<(), ChaosError> {
        let nodes = self.target.nodes().to_vec();
        let mut connections: Vec<Option<Box<dyn Connection>>> =
            nodes.iter().map(|_| None).collect();
        for n in 0..count {
            let node = (n % nodes.len() as u64) as usize;
            let mut connection = match connections[node].take() {
                Some(connection) => connection,
                None => self.target.connect(node).await?,
            };
            let (check, name) = (self.check(key), nodes[node].clone());
            let record = CheckRecord::make(&mut *connection, &check, name, self.clock.origin).await;
            // An answer that is none may have broken the connection.
            let usable = record.operation.outcome != Outcome::Unknown;
            connections[node] = usable.then_some(connection);
            self.record.add(record);
        }
        Ok(())
    }

    /// `total` checks, of which `a_window` are sent evenly over each window; an open model: a slow
    /// answer delays no other check.
    async fn paced(&mut self, key: &Key, a_window: u64, total: u64) -> Result<(), ChaosError> {
        let gap = self.plan.contract.window().div_f64(a_window.max(1) as f64);
        let nodes = self.target.nodes().len() as u64;
        let checks = PacedChecks::new(self.target, self.clock.origin);
        let checks = checks.warmed().await?;
        let (began, check) = (Instant::now(), self.check(key));
        let due = |n: u64| DueCheck {
            at: began + gap.mul_f64(n as f64),
            node: (n % nodes) as usize,
            check: check.clone(),
        };
        let mut records = Vec::new();
        checks
            .send((0..total).map(due), |record| records.extend(record))
            .await;
        records.sort_by_key(|record| record.operation.invoke);
        records
            .into_iter()
            .for_each(|record| self.record.add(record));
        Ok(())
    }
}
