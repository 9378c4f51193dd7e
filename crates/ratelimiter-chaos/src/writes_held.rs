//! The two means that hold writes back: a lease on the store, and a rule of proxies in front of it.

use std::time::Duration;

use ratelimiter_store::StoreError;
use resp_proxy::RuleGuard;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Length of one pause command: the longest time that a pause outlives its owner or its guard.
pub const LEASE: Duration = Duration::from_millis(300);
/// Time between two pause commands. A shorter pause never shortens a longer one, so they overlap
/// without a gap.
pub(crate) const RENEWAL: Duration = Duration::from_millis(100);

/// The course of a pause.
#[derive(Debug)]
pub(crate) struct PauseCourse {
    /// Number of confirmed renewals of the lease.
    pub(crate) renewals: u32,
    /// Longest time between two of them.
    pub(crate) longest_renewal: Duration,
    /// End of the lease, or of the rule.
    pub(crate) ends: Instant,
    /// The failure that ended the lease too early.
    pub(crate) lost: Option<StoreError>,
    /// Number of commands that a proxy held back.
    pub(crate) held_commands: Option<u64>,
}

impl PauseCourse {
    pub(crate) fn ending_at(ends: Instant) -> Self {
        Self {
            renewals: 0,
            longest_renewal: Duration::ZERO,
            ends,
            lost: None,
            held_commands: None,
        }
    }
}

/// The means of a fault in force.
#[derive(Debug)]
pub(crate) enum WritesHeld {
    /// The task that renews a lease on the store.
    Lease(JoinHandle<PauseCourse>),
    /// A rule of proxies; `None` after its end.
    Rule(Option<RuleGuard>),
}

impl WritesHeld {
    pub(crate) fn in_force(&self) -> bool {
        match self {
            Self::Lease(renewing) => !renewing.is_finished(),
            Self::Rule(guard) => guard.is_some(),
        }
    }

    /// Waits for the end of the lease's task, which must have been asked to end; or ends the rule.
    pub(crate) async fn release(&mut self) -> PauseCourse {
        match self {
            Self::Lease(renewing) => finished(renewing).await,
            Self::Rule(guard) => PauseCourse {
                held_commands: guard.take().map(|guard| guard.heal().effects),
                ..PauseCourse::ending_at(Instant::now())
            },
        }
    }
}

/// The value of a task that is never aborted.
pub(crate) async fn finished<T>(task: &mut JoinHandle<T>) -> T {
    task.await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
