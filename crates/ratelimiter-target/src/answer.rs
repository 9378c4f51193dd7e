use ratelimiter_api::{Claims, Outcome};

/// The answer to one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The outcome.
    pub outcome: Outcome,
    /// The limiter's own statements.
    pub claims: Claims,
    /// The form of the answer in a few words: `status 429`, `no answer within 5 s`. Empty for an
    /// ordinary one.
    pub detail: String,
}

impl Answer {
    /// An outcome without claims.
    pub(crate) fn plain(outcome: Outcome) -> Self {
        Self {
            outcome,
            claims: Claims::default(),
            detail: String::new(),
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
