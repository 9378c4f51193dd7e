//! Plays a plan against a target and records every check.

mod phases;
mod player;
mod record;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ratelimiter_api::NodeId;
use ratelimiter_chaos::ChaosError;
use ratelimiter_target::Target;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Phase, Plan, PlanStep};
use player::StepPlayer;
pub use record::StepRecord;

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
    /// No answer of a node to the probe was of use.
    #[error("{node}: the first checks were neither allowed nor denied: \
        {answer}{}", advice(.answer))]
    Probe {
        /// The node.
        node: NodeId,
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
        None if answer.starts_with("no answer within") => "; --deadline gives it more time".into(),
        None if answer.contains("connection broke") => {
            "; https:// is for TLS, and --http2 for a limiter that speaks HTTP/2 alone".into()
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
