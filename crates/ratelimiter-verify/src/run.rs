//! Plays a plan against a target and records every check.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ratelimiter_api::{Claims, Key, NodeId, Operation, Outcome};
use ratelimiter_chaos::{ChaosError, Due, Landed, Pace, Release, volley};
use ratelimiter_target::{Check, Connection, Target};
use tokio::time::{Instant, sleep, sleep_until};

use crate::fault::{Band, Reachable, Running};
use crate::plan::FAULT;
use crate::{Phase, Plan, Step};

/// Time for a fault to take or lose effect.
const SETTLE: Duration = Duration::from_millis(300);

/// Distance of two bursts from the edge between them, at most a tenth of the window.
const BESIDE: Duration = Duration::from_millis(100);

/// The records of one step.
#[derive(Clone, Debug)]
pub struct Recorded {
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
    pub fault: Option<Band>,
    /// From the first request of a burst to its last, and how it was released.
    pub skew: Option<(Duration, Release)>,
    /// Forms of the answers that were neither allowed nor denied.
    pub details: Vec<String>,
}

/// A run that broke.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The command of a fault could not be started.
    #[error("start sh for the command of --during: {0}")]
    Command(std::io::Error),
    /// The target could not be reached, before anything was sent in a step.
    #[error("{phase}: {source}")]
    Step {
        /// The phase.
        phase: Phase,
        /// The reason.
        source: ChaosError,
    },
}

/// How a plan is played.
#[derive(Clone, Debug)]
pub struct Play {
    /// Time for one check to be answered.
    pub deadline: Duration,
    /// The command line of the fault, for the shell.
    pub during: Option<String>,
}

/// Plays all steps. `progress` is called before each with its number, and once more at the end.
///
/// # Errors
/// When the target cannot be reached, or the fault cannot be started.
pub async fn run(
    plan: &Plan,
    target: &dyn Target,
    play: &Play,
    mut progress: impl FnMut(usize, Option<&Step>),
) -> Result<Vec<Recorded>, RunError> {
    let clock = Clock {
        origin: Instant::now(),
        wall: SystemTime::now(),
    };
    let mut recorded = Vec::new();
    for (n, step) in plan.steps.iter().enumerate() {
        progress(n, Some(step));
        if n > 0 {
            sleep(plan.rest).await;
        }
        let mut player = Player {
            plan,
            target,
            play,
            clock,
            record: Recorded::new(step, clock),
        };
        match (step.phase, &play.during) {
            (Phase::Fault, Some(command)) => player.fault(step, command).await?,
            _ => {
                let played = player.play(step).await;
                played.map_err(|source| RunError::Step {
                    phase: step.phase,
                    source,
                })?;
            }
        }
        player.record.took = clock.origin.elapsed() - player.record.at;
        recorded.push(player.record);
    }
    progress(plan.steps.len(), None);
    Ok(recorded)
}

impl Recorded {
    fn new(step: &Step, clock: Clock) -> Self {
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
        }
    }

    fn detail(&mut self, detail: String) {
        if !detail.is_empty() && !self.details.contains(&detail) {
            self.details.push(detail);
        }
    }
}

struct Player<'a> {
    plan: &'a Plan,
    target: &'a dyn Target,
    play: &'a Play,
    clock: Clock,
    record: Recorded,
}

/// The clock of a run: its histories count from `origin`. It reads the wall clock once, so that
/// both keep step.
#[derive(Clone, Copy)]
struct Clock {
    origin: Instant,
    wall: SystemTime,
}

impl Clock {
    /// The next instant at which the wall clock is a whole number of windows.
    fn next_edge(self, window: Duration) -> Instant {
        let wall = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default() + self.origin.elapsed();
        let into = wall.as_nanos() % window.as_nanos().max(1);
        Instant::now() + window - Duration::from_nanos(u64::try_from(into).unwrap_or_default())
    }
}

impl Player<'_> {
    async fn play(&mut self, step: &Step) -> Result<(), ChaosError> {
        let limit = self.plan.limit();
        let window = self.plan.contract.window();
        let key = &step.keys[0];
        match step.phase {
            Phase::Burst => self.burst(key, step.requests).await,
            Phase::Costs => {
                let cost = self.plan.cost;
                let dearest = limit.min(3);
                let costs = (0..step.requests).map(|n| cost * (1 + (n % dearest) as u32));
                self.burst_at(self.target, key, costs).await
            }
            Phase::TwoKeys => {
                self.in_turn(key, limit + 5).await?;
                self.in_turn(&step.keys[1], limit).await
            }
            Phase::Fields => self.in_turn(key, step.requests).await,
            Phase::Return => {
                self.in_turn(key, limit + 2).await?;
                let last = self.record.operations.last();
                let claimed = last.and_then(|op| op.claims.retry_after.or(op.claims.reset));
                let longest = window + window / 10;
                sleep(claimed.unwrap_or(longest).min(longest)).await;
                self.in_turn(key, 1).await
            }
            Phase::Overload => self.paced(key, 3 * limit, 3).await,
            Phase::FirstEdge => {
                let edge = Instant::now() + window;
                self.in_turn(key, 1).await?;
                self.around(edge, key, [limit - 1, limit]).await
            }
            Phase::Edge => {
                self.around(self.clock.next_edge(window), key, [limit, limit])
                    .await
            }
            // Without a command there is no fault to play.
            Phase::Fault => Ok(()),
            Phase::Steady => self.paced(key, (limit * 4).div_ceil(5), 1).await,
        }
    }

    fn check(&self, key: &Key) -> Check {
        Check {
            key: key.clone(),
            cost: self.plan.cost,
            deadline: self.play.deadline,
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
        let report = volley(target, checks, Release::LastByte).await?;
        let shift = report.released - self.clock.origin;
        let shifted = report.operations.into_iter().map(|mut op| {
            op.invoke += shift;
            op.complete += shift;
            op
        });
        self.record.operations.extend(shifted);
        let longest = self
            .record
            .skew
            .map_or(report.start_skew, |(skew, _)| skew.max(report.start_skew));
        self.record.skew = Some((longest, report.release));
        report
            .details
            .into_iter()
            .for_each(|detail| self.record.detail(detail));
        Ok(())
    }

    /// Bursts on one key before and during the fault and after it, and on another key during and
    /// after it. What a fault took away is no error of the run.
    async fn fault(&mut self, step: &Step, command: &str) -> Result<(), RunError> {
        let limit = self.plan.limit();
        let size = limit * u64::from(self.plan.multiplier);
        let [before, fresh] = [&step.keys[0], &step.keys[1]];
        self.burst_somewhere(before, size).await;
        let mut running = Running::start(command).map_err(RunError::Command)?;
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
        let sent = match Reachable::of(self.target).await {
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

    /// So many checks just before an instant, and so many just after it.
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
            let connection = match connections[node].take() {
                Some(connection) => connection,
                None => self.target.connect(node).await?,
            };
            let made = make(
                connection,
                self.check(key),
                nodes[node].clone(),
                self.clock.origin,
            )
            .await;
            // An answer that is none may have broken the connection.
            connections[node] =
                (made.operation.outcome != Outcome::Unknown).then_some(made.connection);
            self.record.detail(made.detail);
            self.record.operations.push(made.operation);
        }
        Ok(())
    }

    /// `a_window` checks evenly over a window, for so many windows and half a one more of a single
    /// window; an open model, so that a slow answer holds nothing up.
    async fn paced(&mut self, key: &Key, a_window: u64, windows: u32) -> Result<(), ChaosError> {
        let gap = self.plan.contract.window().div_f64(a_window.max(1) as f64);
        let total = if windows == 1 {
            a_window * 3 / 2
        } else {
            a_window * u64::from(windows)
        };
        let nodes = self.target.nodes().len() as u64;
        let pace = Pace::new(self.target, self.clock.origin).warmed().await?;
        let (began, check) = (Instant::now(), self.check(key));
        let due = |n: u64| Due {
            at: began + gap.mul_f64(n as f64),
            node: (n % nodes) as usize,
            check: check.clone(),
        };
        let mut landed = Vec::new();
        pace.send((0..total).map(due), |check| landed.extend(check))
            .await;
        landed.sort_by_key(|landed| landed.operation.invoke);
        for Landed {
            operation, detail, ..
        } in landed
        {
            self.record.detail(detail);
            self.record.operations.push(operation);
        }
        Ok(())
    }
}

/// A check that has its answer.
struct Made {
    connection: Box<dyn Connection>,
    operation: Operation,
    detail: String,
}

async fn make(
    mut connection: Box<dyn Connection>,
    check: Check,
    node: NodeId,
    origin: Instant,
) -> Made {
    let invoke = origin.elapsed();
    let answer = connection.check(&check).await;
    let complete = origin.elapsed();
    let claims: Claims = answer.claims;
    let operation = Operation {
        claims,
        ..Operation::new(check.key, node, invoke, complete, answer.outcome).costing(check.cost)
    };
    Made {
        connection,
        operation,
        detail: answer.detail,
    }
}
