use std::fmt;
use std::time::Duration;

use ratelimiter_api::Limit;
use serde::Serialize;

use crate::text::{Human, millis};

/// At most `max` admissions in any half-open window of `window`: two exactly a window apart are not in one.
///
/// Every [`Limit`] is one; a contract may also be about a window shorter than a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Contract {
    max: u32,
    #[serde(rename = "window_ms", serialize_with = "millis")]
    window: Duration,
}

/// Why a contract cannot be.
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
    /// A contract of `max` admissions in any `window`.
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
        Ok(Self { max, window })
    }

    /// How many admissions a window may hold.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// How long a window is.
    pub fn window(&self) -> Duration {
        self.window
    }
}

impl From<Limit> for Contract {
    fn from(limit: Limit) -> Self {
        Self { max: limit.admissions(), window: limit.window() }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.max, Human(self.window))
    }
}
