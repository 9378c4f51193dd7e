use std::time::Duration;

use ratelimiter_api::{Claims, Outcome};
use tokio::time::timeout;

/// The answer to one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckAnswer {
    /// The outcome.
    pub outcome: Outcome,
    /// The limiter's own statements.
    pub claims: Claims,
    /// The form of the answer in a few words: `status 429`, `no answer within 5 s`. Empty for an
    /// ordinary one.
    pub detail: String,
}

impl CheckAnswer {
    /// An outcome without claims.
    pub(crate) fn plain(outcome: Outcome) -> Self {
        Self {
            outcome,
            claims: Claims::default(),
            detail: String::new(),
        }
    }

    /// Not admitted, for another reason than quota.
    pub(crate) fn failed(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::plain(Outcome::Failed)
        }
    }

    /// No complete answer: the check may have been admitted.
    pub(crate) fn unknown(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::plain(Outcome::Unknown)
        }
    }
}

/// The answer, or an unknown one where it does not come in time.
pub(crate) async fn within(
    deadline: Duration,
    answer: impl Future<Output = CheckAnswer>,
) -> CheckAnswer {
    timeout(deadline, answer).await.unwrap_or_else(|_| {
        CheckAnswer::unknown(format!("no answer within {} ms", deadline.as_millis()))
    })
}
