//! The modes in which the store decides a check, one a file. The mode in which the node decides, `cached`, is
//! [`Counter::decide`](crate::counter::Counter::decide).

mod atomic;
mod leased;
mod read_then_write;

use ratelimiter_api::{DecidedBy, Limit};
use ratelimiter_store::StoreError;

pub(crate) use atomic::Groups;
pub(crate) use leased::{GrantMetrics, Known, Leases};
pub(crate) use read_then_write::decide as read_then_write;

use crate::admissions::Admission;
use crate::shared::Change;

/// What was decided about one check, and what the node has to remember of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) allowed: bool,
    /// Admissions in the window after the check, as far as the decider knew.
    pub(crate) count: u64,
    /// When a denied check would fit, or the oldest admission leaves the window; microseconds on the store's clock.
    pub(crate) frees_us: u64,
    /// Time of the decision, likewise.
    pub(crate) now_us: u64,
    /// The limit that the decision is about.
    pub(crate) limit: Limit,
    pub(crate) by: DecidedBy,
}

impl Decision {
    /// The same facts, with the decision of the failure policy about a check of `cost`. A denial although there is quota
    /// ends after `retry_us`, when the store may be back.
    pub(crate) fn by_policy(self, allowed: bool, cost: u32, retry_us: u64) -> Self {
        let cost = u64::from(cost);
        let before = if self.allowed { self.count.saturating_sub(cost) } else { self.count };
        let frees_us = if self.allowed && !allowed {
            self.now_us + retry_us
        } else {
            self.frees_us.max(self.now_us + 1)
        };
        let count = before + if allowed { cost } else { 0 };
        Self { allowed, count, frees_us, by: DecidedBy::Policy, ..self }
    }
}

/// Why the store did not decide.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    /// It failed, or did not answer in time.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It failed so often that this check did not wait for it.
    #[error("the store failed the checks before this one")]
    Suspended,
    /// Its clock, by which admissions are dated, was never read.
    #[error("the store's clock is not known yet")]
    NoClock,
    /// It answered that it was asked too late.
    #[error("the check reached the store after its deadline")]
    Late,
    /// It does not know an admission that it had confirmed, so that its count is not to be trusted.
    #[error("the store has lost admissions that it had confirmed")]
    Forgot,
    /// It granted nothing in time.
    #[error("the store granted nothing in time")]
    NoGrant,
    /// The call that would have decided did not end in time.
    #[error("the store did not decide in time")]
    Unanswered,
    /// The key's counter was reset or its limit deleted by another node.
    #[error("another node reset the counter or deleted the limit")]
    Changed(Box<Change>),
    /// The key has another counter by now, or no limit any more.
    #[error("the counter was reset or its limit deleted meanwhile")]
    Replaced,
}

impl Undecided {
    /// Whether the store answered at all, and in time.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Store(error) => !error.is_transient(),
            Self::Forgot | Self::Changed(_) | Self::Replaced => true,
            Self::NoClock | Self::Suspended | Self::Late | Self::NoGrant | Self::Unanswered => false,
        }
    }
}

/// The admissions of one check of `cost`.
pub(crate) fn admissions(at_us: u64, first_sequence: u64, cost: u32) -> impl Iterator<Item = Admission> {
    (0..u64::from(cost)).map(move |i| Admission { at_us, sequence: first_sequence + i })
}
