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
pub const RENEWAL: Duration = Duration::from_millis(100);

/// The course of a lease.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) renewals: u32,
    pub(crate) longest: Duration,
    pub(crate) ends: Instant,
    pub(crate) lost: Option<StoreError>,
}

/// The means of a fault in force.
#[derive(Debug)]
pub(crate) enum Hold {
    /// The task that renews a lease on the store.
    Lease(JoinHandle<Lease>),
    /// A rule of proxies; `None` once it is released.
    Rule(Option<RuleGuard>),
}

/// A fault that was given up.
pub(crate) struct Released {
    pub(crate) lease: Lease,
    /// Commands that a proxy held back.
    pub(crate) held_commands: Option<u64>,
}

impl Hold {
    pub(crate) fn is_held(&self) -> bool {
        match self {
            Self::Lease(renewing) => !renewing.is_finished(),
            Self::Rule(guard) => guard.is_some(),
        }
    }

    /// Waits for the end of the lease's task, which must have been asked to end; or ends the rule.
    pub(crate) async fn release(&mut self) -> Released {
        match self {
            Self::Lease(renewing) => Released {
                lease: finished(renewing).await,
                held_commands: None,
            },
            Self::Rule(guard) => {
                let held_commands = guard.take().map(|guard| guard.heal().effects);
                let lease = Lease {
                    renewals: 0,
                    longest: Duration::ZERO,
                    ends: Instant::now(),
                    lost: None,
                };
                Released {
                    lease,
                    held_commands,
                }
            }
        }
    }
}

/// The value of a task that is never aborted.
pub(crate) async fn finished<T>(task: &mut JoinHandle<T>) -> T {
    task.await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
