//! The modes in which the store decides a check, one a file. The mode in which the node decides,
//! `cached`, is [`Counter::decide`](crate::counter::Counter::decide).

mod atomic;
mod leased;
mod read_then_write;

use ratelimiter_store::StoreError;

pub(crate) use atomic::Groups;
pub(crate) use leased::{GrantMetrics, Known, Leases};
pub(crate) use read_then_write::decide as read_then_write;

use crate::shared::Change;

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
            Self::NoClock | Self::Suspended | Self::Late | Self::NoGrant | Self::Unanswered => {
                false
            }
        }
    }
}
