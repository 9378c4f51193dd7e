use std::fmt;
use std::time::Duration;

use ratelimiter_api::{Limit, choice, millis};
use serde::Serialize;

use crate::text::HumanDuration;

/// A promise about the cost admitted of one key.
///
/// Every [`Limit`] is a sliding one; a contract may also be about a window shorter than a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Contract {
    #[serde(rename = "contract")]
    kind: ContractKind,
    max: u32,
    #[serde(rename = "window_ms", with = "millis")]
    window: Duration,
}

choice! {
    /// The form of a contract.
    #[derive(Default)]
    ContractKind, "contract" {
        /// At most `max` in any half-open window: two admissions exactly a window apart are not in
        /// one.
        #[default]
        Sliding = "sliding",
        /// Some alignment exists for which every window `[a + k W, a + (k + 1) W)` holds at most
        /// `max`.
        Fixed = "fixed",
        /// At most `max + t max / W` in any closed interval of length t: a bucket of `max` tokens,
        /// refilled once a window.
        TokenBucket = "token-bucket",
    }
}

/// A contract that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// It would allow nothing.
    #[error("contract allows 0 admissions: it must allow at least 1")]
    Max,
    /// It would limit nothing.
    #[error("contract has a window of zero: it must be positive")]
    Window,
}

impl Contract {
    /// A sliding contract of `max` admissions in any `window`.
    ///
    /// # Errors
    /// When either is zero.
    pub fn new(max: u32, window: Duration) -> Result<Self, ContractError> {
        if max == 0 {
            return Err(ContractError::Max);
        }
        if window.is_zero() {
            return Err(ContractError::Window);
        }
        Ok(Self {
            kind: ContractKind::Sliding,
            max,
            window,
        })
    }

    /// The same numbers in another form.
    #[must_use]
    pub fn of_kind(self, kind: ContractKind) -> Self {
        Self { kind, ..self }
    }

    /// The form.
    pub fn kind(&self) -> ContractKind {
        self.kind
    }

    /// Cost that a window, or a full bucket, may hold.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Length of a window, or the time in which an empty bucket fills.
    pub fn window(&self) -> Duration {
        self.window
    }
}

impl From<Limit> for Contract {
    fn from(limit: Limit) -> Self {
        Self {
            kind: ContractKind::Sliding,
            max: limit.admissions(),
            window: limit.window(),
        }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.max, HumanDuration(self.window))?;
        match self.kind {
            ContractKind::Sliding => Ok(()),
            kind => write!(f, " ({kind})"),
        }
    }
}
