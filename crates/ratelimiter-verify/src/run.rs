//! Plays a plan against a target and records every check.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ratelimiter_api::{Key, Operation, Outcome};
use ratelimiter_chaos::{ChaosError, CheckRecord, DueCheck, PacedChecks, Release, volley};
use ratelimiter_target::{Check, Connection, Target};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::fault::{FaultBand, FaultCommand, FaultEffect, FaultPart, ReachableNodes};
use crate::plan::{FAULT, PROBES};
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
    /// The keys to judge, in the order of the plan; none of [`Phase::Probe`].
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
    /// No answer to the probe was of use.
    #[error("the first checks were neither allowed nor denied: {answer}{}", advice(.answer))]
    Probe {
        /// The answer.
        answer: String,
    },
    /// The run was stopped.
    #[error("stopped: the records are partial")]
    Stopped,
}

/// The flag that would make an answer one of use.
pub(crate) fn advice(answer: &str) -> String {
    let status = answer
        .strip_prefix("status ")
        .and_then(|text| text.get(..3));
    match status {
        Some(status) if status.starts_with('3') => format!(
            "; a redirect decides nothing: give its destination as --url, or --allowed {status} if \
             it is an admission"
        ),
        Some(status) => format!(
            "; --denied {status} if it is a denial, --allowed {status} if it is an admission"
        ),
        None if answer.contains("connection broke") => {
            "; HTTP/1.1 is spoken, and https:// with TLS only".into()
        }
        None => String::new(),
    }
}

/// Plays all steps; each check has `deadline` to be answered. `progress` is called before each step
/// with its number, and once more at the end. After `stop` no check is sent; those in flight are
/// waited for.
///
/// The records are complete whatever ended the run: every check that was sent is in them.
///
/// # Errors
/// When the target cannot be reached, its first answers are of no use, the fault cannot be started,
/// or the run was stopped; beside the records up to then.
pub async fn run(
    plan: &Plan,
    target: &dyn Target,
    deadline: Duration,
    stop: &CancellationToken,
    mut progress: impl FnMut(usize, Option<&PlanStep>),
) -> (Vec<StepRecord>, Result<(), RunError>) {
    let clock = RunClock {
        origin: Instant::now(),
        wall: SystemTime::now(),
    };
    let mut records = Vec::new();
    for (n, step) in plan.steps.iter().enumerate() {
        progress(n, Some(step));
        let mut player = StepPlayer {
            plan,
            target,
            deadline,
            stop,
            clock,
            record: StepRecord::new(step, clock),
            unreachable: 0,
        };
        let phase = step.phase;
        let played = player.play(step).await;
        player.record.took = clock.origin.elapsed() - player.record.at;
        if !player.record.operations.is_empty() {
            records.push(player.record);
        }
        if let Err(source) = played {
            return (records, Err(RunError { phase, source }));
        }
    }
    progress(plan.steps.len(), None);
    (records, Ok(()))
}

impl StepRecord {
    fn new(step: &PlanStep, clock: RunClock) -> Self {
        let at = clock.origin.elapsed();
        Self {
            phase: step.phase,
            keys: match step.phase {
                Phase::Probe => Vec::new(),
                _ => step.keys.clone(),
            },
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
    stop: &'a CancellationToken,
    clock: RunClock,
    record: StepRecord,
    /// Nodes that accepted no connection since the last measurement of a fault.
    unreachable: usize,
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
        if step.phase != Phase::Probe {
            self.wait(self.plan.rest).await?;
            self.record.began += self.plan.rest;
            self.record.at += self.plan.rest;
        }
        match step.phase {
            Phase::Probe => self.probe(key).await?,
            Phase::Burst => self.burst(key, step.requests).await?,
            Phase::Costs => self.costs(&step.keys, limit).await?,
            Phase::TwoKeys => {
                self.in_turn(key, limit + 5).await?;
                self.in_turn(&step.keys[1], limit).await?;
            }
            Phase::OneNode => {
                let one = [0];
                let checks = (0..step.requests).map(|_| self.check(key)).collect();
                self.each_in_turn(self.target, &one, checks).await?;
            }
            Phase::Fields => self.in_turn(key, step.requests).await?,
            Phase::Return => self.come_back(key, limit).await?,
            Phase::Silent => self.silent(&step.keys, limit).await?,
            Phase::Again => {
                for n in 0..3 {
                    if n > 0 {
                        self.wait(self.plan.rest_on_key()).await?;
                    }
                    self.burst(key, self.plan.burst()).await?;
                }
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
            Phase::Forged => {
                for n in 0..step.requests {
                    if let Some(forged) = self.target.forged(n as u32) {
                        let node = [(n % self.target.nodes().len() as u64) as usize];
                        let checks = vec![self.check(key)];
                        self.each_in_turn(&*forged, &node, checks).await?;
                    }
                }
            }
            Phase::Fault => self.fault(key, step.keys.last().unwrap_or(key)).await?,
        }
        Ok(())
    }

    /// Waits, unless the run is stopped.
    async fn wait(&self, time: Duration) -> Result<(), StepError> {
        self.wait_until(Instant::now() + time).await
    }

    async fn wait_until(&self, at: Instant) -> Result<(), StepError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(StepError::Stopped),
            () = sleep_until(at) => Ok(()),
        }
    }

    /// Checks until one is allowed or denied.
    async fn probe(&mut self, key: &Key) -> Result<(), StepError> {
        for _ in 0..PROBES {
            self.in_turn(key, 1).await?;
            let outcome = self.record.operations.last().map(|op| op.outcome);
            if matches!(outcome, Some(Outcome::Allowed | Outcome::Denied)) {
                return Ok(());
            }
        }
        let answer = self.record.details.join(", ");
        Err(StepError::Probe { answer })
    }

    /// Checks of different costs, then one on another key that costs more than the limit.
    async fn costs(&mut self, keys: &[Key], limit: u64) -> Result<(), StepError> {
        let (dearest, cost) = (limit.min(3) as u32, self.plan.cost);
        let costing = |cost, key| Check {
            cost,
            ..self.check(key)
        };
        let costs = (0..limit as u32 + 1).map(|n| costing(cost * (1 + n % dearest), &keys[0]));
        let (costs, over) = (costs.collect(), self.plan.contract.max().saturating_add(1));
        let nodes = self.every_node();
        self.each_in_turn(self.target, &nodes, costs).await?;
        if let Some(other) = keys.get(1) {
            let check = Check {
                cost: over,
                ..self.check(other)
            };
            self.each_in_turn(self.target, &nodes, vec![check]).await?;
            // A refusal in any form is right, and nothing to judge.
            let last = self.record.operations.last_mut();
            if let Some(op) = last.filter(|op| op.outcome == Outcome::Failed) {
                op.outcome = Outcome::Denied;
            }
            let last = self.record.operations.last();
            if last.is_none_or(|op| op.outcome != Outcome::Allowed) {
                self.record.keys.truncate(1);
            }
        }
        Ok(())
    }

    /// Uses a key up, and asks again after as long as the limiter stated, or after a window.
    async fn come_back(&mut self, key: &Key, limit: u64) -> Result<(), StepError> {
        self.in_turn(key, limit + 2).await?;
        let last = self.record.operations.last();
        let claimed = last.and_then(|op| op.claims.retry_after.or(op.claims.reset));
        let unstated = self.plan.contract.window() + self.plan.contract.window() / 10;
        let mut wait = claimed.unwrap_or(unstated);
        let longest = unstated + self.plan.spare;
        if wait > longest {
            self.record.detail(format!(
                "a retry after {:.1} s, as the limiter stated, was not tried: the run has {:.1} s; \
                 --for gives it more",
                wait.as_secs_f64(),
                longest.as_secs_f64()
            ));
            wait = unstated;
        }
        self.wait(wait + Duration::from_millis(2)).await?;
        self.in_turn(key, 1).await
    }

    /// Uses keys up, and asks each again after another part of a window without a check. A shared
    /// quota has one key, and one silence.
    async fn silent(&mut self, keys: &[Key], limit: u64) -> Result<(), StepError> {
        let window = self.plan.contract.window();
        let parts: &[f64] = if keys.len() == 1 {
            &[0.6]
        } else {
            &[0.3, 0.6, 0.9]
        };
        let mut due = Vec::new();
        for (key, part) in keys.iter().zip(parts) {
            self.in_turn(key, limit + 1).await?;
            due.push((Instant::now() + window.mul_f64(*part), key));
        }
        for (at, key) in due {
            self.wait_until(at).await?;
            self.burst(key, limit).await?;
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

    async fn burst(&mut self, key: &Key, count: u64) -> Result<(), StepError> {
        self.burst_at(self.target, key, count).await
    }

    async fn burst_at(
        &mut self,
        target: &dyn Target,
        key: &Key,
        count: u64,
    ) -> Result<(), StepError> {
        self.wait(Duration::ZERO).await?;
        let checks = (0..count).map(|_| self.check(key)).collect();
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
        let mut effect = FaultEffect::default();
        self.burst_somewhere(before, self.plan.burst()).await?;
        effect.before = self.since(0);
        let command = self.plan.during.as_deref().unwrap_or_default();
        let mut running = FaultCommand::start(command).map_err(StepError::Command)?;
        let played = self.beside(&mut running, &mut effect, before, fresh).await;
        self.record.fault = Some(running.band(self.clock.origin, effect));
        played
    }

    async fn beside(
        &mut self,
        running: &mut FaultCommand,
        effect: &mut FaultEffect,
        before: &Key,
        fresh: &Key,
    ) -> Result<(), StepError> {
        let until = running.started() + FAULT;
        let from = self.record.operations.len();
        self.wait(SETTLE).await?;
        self.burst_somewhere(before, self.plan.burst()).await?;
        self.burst_somewhere(fresh, self.plan.burst()).await?;
        while !running
            .ended_by(until.min(Instant::now() + Duration::from_secs(1)))
            .await
            && Instant::now() < until
        {
            self.burst_somewhere(fresh, self.plan.limit()).await?;
        }
        effect.during = self.since(from);
        let from = self.record.operations.len();
        self.wait(SETTLE).await?;
        self.burst_somewhere(before, self.plan.burst()).await?;
        self.burst_somewhere(fresh, self.plan.burst()).await?;
        effect.after = self.since(from);
        Ok(())
    }

    /// A burst over the nodes that can be reached.
    async fn burst_somewhere(&mut self, key: &Key, count: u64) -> Result<(), StepError> {
        let reachable = ReachableNodes::of(self.target).await;
        let all = self.target.nodes().len();
        let missing = all - reachable.as_ref().map_or(0, |some| some.nodes().len());
        self.unreachable = self.unreachable.max(missing);
        let sent = match reachable {
            Some(reachable) => self.burst_at(&reachable, key, count).await,
            None => {
                self.record.detail("no node accepts a connection".into());
                Ok(())
            }
        };
        match sent {
            // A node went away in between.
            Err(StepError::Target(error)) => {
                self.unreachable = self.unreachable.max(1);
                self.record.detail(error.to_string());
                Ok(())
            }
            sent => sent,
        }
    }

    /// Measures the checks from an index on, and the connections since the last measurement.
    fn since(&mut self, from: usize) -> FaultPart {
        let unreachable = std::mem::take(&mut self.unreachable);
        FaultPart::of(&self.record.operations[from..], unreachable)
    }

    /// Two bursts, one just before an instant and one just after it.
    async fn around(
        &mut self,
        edge: Instant,
        key: &Key,
        counts: [u64; 2],
    ) -> Result<(), StepError> {
        let beside = BESIDE.min(self.plan.contract.window() / 10);
        for (count, at) in counts
            .into_iter()
            .zip([edge.checked_sub(beside).unwrap_or(edge), edge + beside])
        {
            self.wait_until(at).await?;
            if count > 0 {
                self.burst(key, count).await?;
            }
        }
        Ok(())
    }

    fn every_node(&self) -> Vec<usize> {
        (0..self.target.nodes().len()).collect()
    }

    /// One check after the other, over the nodes by turns.
    async fn in_turn(&mut self, key: &Key, count: u64) -> Result<(), StepError> {
        let checks = (0..count).map(|_| self.check(key)).collect();
        self.each_in_turn(self.target, &self.every_node(), checks)
            .await
    }

    /// Checks one after the other, over these nodes by turns.
    async fn each_in_turn(
        &mut self,
        target: &dyn Target,
        nodes: &[usize],
        checks: Vec<Check>,
    ) -> Result<(), StepError> {
        let mut connections: Vec<Option<Box<dyn Connection>>> =
            nodes.iter().map(|_| None).collect();
        for (n, check) in checks.into_iter().enumerate() {
            self.wait(Duration::ZERO).await?;
            let turn = n % nodes.len();
            let mut connection = match connections[turn].take() {
                Some(connection) => connection,
                None => target
                    .connect(nodes[turn])
                    .await
                    .map_err(ChaosError::from)?,
            };
            let name = target.nodes()[nodes[turn]].clone();
            let record = CheckRecord::make(&mut *connection, &check, name, self.clock.origin).await;
            // An answer that is none may have broken the connection.
            let usable = record.operation.outcome != Outcome::Unknown;
            connections[turn] = usable.then_some(connection);
            self.record.add(record);
        }
        Ok(())
    }

    /// `total` checks, of which `a_window` are sent evenly over each window; an open model: a slow
    /// answer delays no other check.
    ///
    /// They stand half a gap beside the instants at which quota of earlier ones returns.
    async fn paced(&mut self, key: &Key, a_window: u64, total: u64) -> Result<(), StepError> {
        let gap = self.plan.contract.window().div_f64(a_window as f64 + 0.5);
        let nodes = self.target.nodes().len() as u64;
        let checks = PacedChecks::new(self.target, self.clock.origin).until(self.stop.clone());
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
        self.wait(Duration::ZERO).await
    }
}
