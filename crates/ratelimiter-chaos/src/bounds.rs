//! The sizes of faults, each within its bounds: one that is out of bounds cannot be constructed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Length of a write pause: above 0 s, at most [`PauseDuration::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PauseDuration(Duration);

/// Size of a burst, in limits: 1 to [`Multiplier::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Multiplier(u32);

/// The reason why the size of a fault is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// A pause of zero, or a longer one than is allowed.
    #[error("pause is {}: it must be above 0s and at most \
        {max}", humantime::format_duration(*.0), max = PauseDuration::MAX)]
    Pause(Duration),
    /// A multiplier of zero, or a larger one than is allowed.
    #[error("multiplier is {0}: it must be between 1 and {max}", max = Multiplier::MAX)]
    Multiplier(u32),
    /// A text that is no duration.
    #[error("{0:?} is no duration: write 10s or 500ms")]
    NoDuration(String),
    /// A text that is no whole number.
    #[error("{0:?} is no whole number")]
    NoNumber(String),
}

impl PauseDuration {
    /// The longest pause.
    pub const MAX: Self = Self(Duration::from_secs(60));
    /// The pause of the story.
    pub const DEFAULT: Self = Self(Duration::from_secs(10));

    /// Checks the bounds.
    ///
    /// # Errors
    /// When the duration is zero or above [`PauseDuration::MAX`].
    pub fn new(duration: Duration) -> Result<Self, BoundError> {
        let within = !duration.is_zero() && duration <= Self::MAX.0;
        within
            .then_some(Self(duration))
            .ok_or(BoundError::Pause(duration))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Multiplier {
    /// The largest multiplier.
    pub const MAX: Self = Self(100);
    /// The multiplier of the story.
    pub const DEFAULT: Self = Self(2);

    /// Checks the bounds.
    ///
    /// # Errors
    /// When the multiplier is zero or above [`Multiplier::MAX`].
    pub fn new(multiplier: u32) -> Result<Self, BoundError> {
        let within = (1..=Self::MAX.0).contains(&multiplier);
        within
            .then_some(Self(multiplier))
            .ok_or(BoundError::Multiplier(multiplier))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for PauseDuration {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        Self::new(
            humantime::parse_duration(text).map_err(|_| BoundError::NoDuration(text.to_owned()))?,
        )
    }
}

impl FromStr for Multiplier {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        Self::new(
            text.parse()
                .map_err(|_| BoundError::NoNumber(text.to_owned()))?,
        )
    }
}

impl fmt::Display for PauseDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl fmt::Display for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_out_of_bounds_name_the_value() {
        let pause = |text: &str| text.parse::<PauseDuration>();
        let multiplier = |text: &str| text.parse::<Multiplier>();
        assert_eq!(pause("1500ms").unwrap().get(), Duration::from_millis(1500));
        assert_eq!(pause("60s").unwrap(), PauseDuration::MAX);
        assert_eq!(multiplier("1").unwrap().get(), 1);
        for (error, text) in [
            (
                pause("0s").unwrap_err(),
                "pause is 0s: it must be above 0s and at most 1m",
            ),
            (pause("61s").unwrap_err(), "pause is 1m 1s:"),
            (pause("soon").unwrap_err(), "\"soon\" is no duration"),
            (multiplier("0").unwrap_err(), "multiplier is 0"),
            (
                multiplier("101").unwrap_err(),
                "multiplier is 101: it must be between 1 and 100",
            ),
            (multiplier("two").unwrap_err(), "\"two\" is no whole number"),
        ] {
            assert!(error.to_string().starts_with(text), "{error}");
        }
    }
}
