use std::time::Duration;

use outside_text::clean_line;
use ratelimiter_api::{Claims, Outcome};
use tokio::time::timeout;

/// Characters of an answer that are shown.
pub(crate) const SHOWN: usize = 80;

/// The largest head of an answer, bytes. It also bounds the interim answers that are read at once:
/// a server may send them without end.
pub(crate) const LARGEST_HEAD: usize = 32 * 1024;

/// The largest answer that is read, bytes.
pub(crate) const LARGEST: usize = 1 << 20;

/// The answer to one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckAnswer {
    /// The outcome.
    pub outcome: Outcome,
    /// The limiter's own statements.
    pub claims: Claims,
    /// The cost that the call used, where it is known after the call only.
    pub used: Option<u32>,
    /// Time between request and answer for which the call itself surely ran; zero where it is not
    /// known.
    pub held: Duration,
    /// The form of the answer in a few words: `status 500`, `no answer within 5 s`,
    /// `retry-after was not understood`. Empty for an ordinary one.
    pub detail: String,
    /// The answer as it came, on one line and cut short: `200 {"ok":true}`. Empty where none came.
    pub seen: String,
}

impl CheckAnswer {
    /// An outcome without claims.
    pub fn plain(outcome: Outcome) -> Self {
        Self {
            outcome,
            claims: Claims::default(),
            used: None,
            held: Duration::ZERO,
            detail: String::new(),
            seen: String::new(),
        }
    }

    /// Not admitted, for another reason than quota.
    pub(crate) fn failed(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::plain(Outcome::Failed)
        }
    }

    /// The same with the text of the answer, cut short.
    pub(crate) fn seen(self, text: &str) -> Self {
        let words: Vec<_> = text.split_whitespace().collect();
        let line = clean_line(&words.join(" "));
        let shown: String = line.chars().take(SHOWN).collect();
        let more = if line.chars().count() > SHOWN {
            "..."
        } else {
            ""
        };
        Self {
            seen: shown + more,
            ..self
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
