//! How a check is decided, one mode a file.

mod atomic;
mod cached;
mod read_then_write;

use ratelimiter_api::DecidedBy;
use ratelimiter_store::StoreError;

pub(crate) use atomic::decide as atomic;
pub(crate) use cached::decide as cached;
pub(crate) use read_then_write::decide as read_then_write;

use crate::admissions::Admission;

/// What was decided about one check, and what the node has to remember of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) allowed: bool,
    /// Admissions in the window after the check, as far as the decider knew.
    pub(crate) count: u64,
    /// The oldest admission in the window, microseconds on the store's clock.
    pub(crate) oldest_us: Option<u64>,
    /// When it was decided, likewise.
    pub(crate) now_us: u64,
    pub(crate) by: DecidedBy,
}

/// Why the store did not decide.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    /// It failed, or did not answer in time.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It answered that it was asked too late.
    #[error("the check reached the store after its deadline")]
    Late,
    /// It does not know an admission that it had confirmed, so that its count is not to be trusted.
    #[error("the store has lost admissions that it had confirmed")]
    Forgot,
}

/// The admissions of one check of `cost`.
pub(crate) fn admissions(at_us: u64, first_sequence: u64, cost: u32) -> impl Iterator<Item = Admission> {
    (0..u64::from(cost)).map(move |i| Admission { at_us, sequence: first_sequence + i })
}
