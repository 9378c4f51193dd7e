//! The words of a check: its cost, the outcome of asking for it, the decision.

use ratelimiter_api::{DecidedBy, Limit};
use ratelimiter_store::StoreError;

use crate::admissions::Admission;
use crate::shared::LimitChange;

/// The admissions that one check asks for, by names that no others have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckCost {
    pub(crate) admissions: u32,
    pub(crate) first_sequence: u64,
}

impl CheckCost {
    /// The admissions of a check that is admitted at `at_us`.
    pub(crate) fn at(self, at_us: u64) -> impl Iterator<Item = Admission> {
        (0..u64::from(self.admissions)).map(move |i| Admission {
            at_us,
            sequence: self.first_sequence + i,
        })
    }
}

/// The outcome of asking a counting mode about one check.
#[derive(Clone, Debug)]
pub(crate) enum CheckOutcome {
    /// The check is allowed or denied, and the counter has its admissions.
    Decided(Decision),
    /// Nothing was counted; the failure policy decides.
    Undecided(NoDecision),
    /// Nothing was counted, because the key has another counter or no limit any more. The check
    /// asks again, after this change where the node does not have it yet.
    AskAgain(Option<Box<LimitChange>>),
}

/// The reason why the store did not decide.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NoDecision {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store failed so often that this check did not wait for it.
    #[error("the store failed the checks before this one")]
    Suspended,
    /// The store's clock, by which admissions are dated, was never read.
    #[error("the store's clock is not known yet")]
    NoClock,
    /// The check reached the store after its deadline.
    #[error("the check reached the store after its deadline")]
    Late,
    /// The store does not have an admission that it had confirmed: its count is too low.
    #[error("the store has lost admissions that it had confirmed")]
    Forgot,
    /// Neither a decision nor a grant arrived in time.
    #[error("the store did not decide in time")]
    NoAnswer,
}

impl CheckOutcome {
    /// Whether the store answered, and in time.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Decided(_) | Self::AskAgain(_) | Self::Undecided(NoDecision::Forgot) => true,
            Self::Undecided(NoDecision::Store(error)) => !error.is_transient(),
            Self::Undecided(_) => false,
        }
    }
}

impl From<StoreError> for CheckOutcome {
    fn from(error: StoreError) -> Self {
        Self::Undecided(error.into())
    }
}

/// The decision about one check, with the facts for its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) allowed: bool,
    /// Admissions in the window after the check, according to the decider.
    pub(crate) count: u64,
    /// Time at which a denied check would fit, or the oldest admission leaves the window;
    /// microseconds on the store's clock.
    pub(crate) frees_us: u64,
    /// Time of the decision, likewise.
    pub(crate) now_us: u64,
    /// The limit that the decision is about.
    pub(crate) limit: Limit,
    pub(crate) by: DecidedBy,
}

impl Decision {
    /// The same facts with the decision of the failure policy about a check that costs
    /// `admissions`. A denial although there is quota ends after `retry_us`, when the store may be
    /// back.
    pub(crate) fn by_policy(self, allowed: bool, admissions: u32, retry_us: u64) -> Self {
        let cost = u64::from(admissions);
        let before = if self.allowed {
            self.count.saturating_sub(cost)
        } else {
            self.count
        };
        let frees_us = if self.allowed && !allowed {
            self.now_us + retry_us
        } else {
            self.frees_us.max(self.now_us + 1)
        };
        Self {
            allowed,
            count: before + if allowed { cost } else { 0 },
            frees_us,
            by: DecidedBy::Policy,
            ..self
        }
    }
}
