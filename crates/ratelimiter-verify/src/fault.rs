//! A fault of the user's own: a command that runs during a step.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{NodeId, Operation, Outcome, millis};
use ratelimiter_target::{Connection, Target, TargetError};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::phase::FAULT;

/// Time for a node to accept a connection before it counts as unreachable.
const CONNECT: Duration = Duration::from_secs(1);

/// The time of a fault, on the clock of the histories.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FaultBand {
    /// The start of its command.
    #[serde(rename = "start_ms", serialize_with = "millis::serialize")]
    pub start: Duration,
    /// The end of its command; `None` when the run did not wait for it.
    #[serde(rename = "end_ms", serialize_with = "millis::option::serialize")]
    pub end: Option<Duration>,
    /// Its exit code; `None` when it ended by a signal, or is running.
    pub exit_code: Option<i32>,
    /// The difference that it made, as the callers measured it.
    pub effect: FaultEffect,
}

/// Checks before, during and after a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FaultEffect {
    /// Before the command.
    pub before: FaultPart,
    /// While it ran.
    pub during: FaultPart,
    /// After its end.
    pub after: FaultPart,
}

/// Checks of one part of a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FaultPart {
    /// Number of checks.
    pub checks: usize,
    /// Those that were neither allowed nor denied.
    pub errors: usize,
    /// Those that were denied.
    pub denied: usize,
    /// The most nodes at once that accepted no connection.
    pub unreachable: usize,
    /// Latency that nine of ten checks keep.
    #[serde(rename = "p90_ms", serialize_with = "millis::serialize")]
    pub p90: Duration,
}

impl FaultPart {
    pub(crate) fn of(operations: &[Operation], unreachable: usize) -> Self {
        let error = |op: &&Operation| matches!(op.outcome, Outcome::Failed | Outcome::Unknown);
        let denied = |op: &&Operation| op.outcome == Outcome::Denied;
        let mut latencies: Vec<_> = operations
            .iter()
            .map(|op| op.complete - op.invoke)
            .collect();
        latencies.sort_unstable();
        Self {
            checks: operations.len(),
            errors: operations.iter().filter(error).count(),
            denied: operations.iter().filter(denied).count(),
            unreachable,
            p90: latencies
                .get(latencies.len() * 9 / 10)
                .copied()
                .unwrap_or_default(),
        }
    }

    fn text(self) -> String {
        format!(
            "{} of {} without decision, {} nodes unreachable, p90 {:.1} ms",
            self.errors,
            self.checks,
            self.unreachable,
            self.p90.as_secs_f64() * 1e3
        )
    }
}

impl FaultEffect {
    /// Whether checks during the fault or after it differ from those before. Latency is compared
    /// with a margin for a busy machine.
    fn is_seen(self) -> bool {
        let slow = self.slow();
        [self.during, self.after].iter().any(|part| {
            part.errors > self.before.errors
                || part.unreachable > self.before.unreachable
                || part.p90 > slow
        })
    }

    /// The latency above which a check counts as slowed by the fault.
    pub(crate) fn slow(self) -> Duration {
        self.before.p90 * 3 + Duration::from_millis(100)
    }

    /// The three parts in words.
    pub fn text(self) -> String {
        let [before, during, after] = [self.before, self.during, self.after].map(FaultPart::text);
        format!("before it {before}; during it {during}; after it {after}")
    }
}

impl FaultBand {
    /// The reason for which the fault may not have happened as intended.
    pub(crate) fn failure(self) -> Option<String> {
        match (self.end, self.exit_code) {
            (Some(_), Some(0)) if self.effect.is_seen() => None,
            (Some(_), Some(0)) => {
                Some("no effect of the fault was seen in latency, errors or connections".into())
            }
            (Some(_), Some(code)) => Some(format!(
                "the command of the fault ended with {code}: the fault may not have happened"
            )),
            (Some(_), None) => Some("the command of the fault ended by a signal".into()),
            (None, _) => Some(format!(
                "the command of the fault did not end within {} s",
                FAULT.as_secs()
            )),
        }
    }
}

/// The running command of a fault. It has its own process group and is never killed: it undoes the
/// fault even when the run is interrupted.
pub(crate) struct FaultCommand {
    child: Child,
    start: Instant,
    end: Option<(Instant, ExitStatus)>,
}

impl FaultCommand {
    /// Starts a command line of the shell. Its errors go to standard error.
    pub(crate) fn start(command: &str) -> std::io::Result<Self> {
        let child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self {
            child,
            start: Instant::now(),
            end: None,
        })
    }

    /// Waits for the end of the command, at most until `until`. Whether it has ended.
    pub(crate) async fn ended_by(&mut self, until: Instant) -> bool {
        if self.end.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if let Ok(Ok(status)) = timeout(left, self.child.wait()).await {
                self.end = Some((Instant::now(), status));
            }
        }
        self.end.is_some()
    }

    pub(crate) fn started(&self) -> Instant {
        self.start
    }

    /// The fault's time since `origin`.
    pub(crate) fn band(&self, origin: Instant, effect: FaultEffect) -> FaultBand {
        FaultBand {
            start: self.start - origin,
            end: self.end.map(|(at, _)| at - origin),
            exit_code: self.end.and_then(|(_, status)| status.code()),
            effect,
        }
    }
}

/// The nodes of a target that accept a connection now: a fault may have taken some away.
pub(crate) struct ReachableNodes<'a> {
    target: &'a dyn Target,
    /// Indices into the nodes of the target.
    of: Vec<usize>,
    nodes: Vec<NodeId>,
}

impl<'a> ReachableNodes<'a> {
    /// Tries every node. `None` when no node accepts a connection.
    pub(crate) async fn of(target: &'a dyn Target) -> Option<Self> {
        let tries = (0..target.nodes().len()).map(|node| async move {
            let opened = timeout(CONNECT, target.connect(node)).await;
            matches!(opened, Ok(Ok(_))).then_some(node)
        });
        let of: Vec<usize> = futures_util::future::join_all(tries)
            .await
            .into_iter()
            .flatten()
            .collect();
        let nodes = of
            .iter()
            .map(|&node| target.nodes()[node].clone())
            .collect();
        (!of.is_empty()).then_some(Self { target, of, nodes })
    }
}

impl Target for ReachableNodes<'_> {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        self.target.connect(self.of[node]).boxed()
    }

    fn describe(&self) -> String {
        self.target.describe()
    }
}
