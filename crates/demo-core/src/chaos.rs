use std::fmt;
use std::time::Duration;

/// The longest pause.
pub const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The largest multiplier.
pub const MAX_MULTIPLIER: u32 = 100;

/// The kind and the size of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChaosType {
    /// A dependency accepts no writes for a fixed duration.
    Pause {
        /// Above zero, at most [`MAX_PAUSE`].
        duration: Duration,
    },
    /// A multiple of the allowed load arrives at one instant.
    Burst {
        /// 1 to [`MAX_MULTIPLIER`].
        multiplier: u32,
    },
}

/// A fault within its bounds: one that is out of bounds cannot be constructed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChaosConfig {
    chaos: ChaosType,
}

/// The reason why a fault is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChaosConfigError {
    /// A pause of zero, or above [`MAX_PAUSE`].
    #[error("pause is {0:?}: it must be above 0s and at most {MAX_PAUSE:?}")]
    Duration(Duration),
    /// A multiplier of zero, or above [`MAX_MULTIPLIER`].
    #[error("multiplier is {0}: it must be between 1 and {MAX_MULTIPLIER}")]
    Multiplier(u32),
}

impl ChaosConfig {
    /// Checks the bounds of a fault.
    ///
    /// # Errors
    /// When the duration or the multiplier is out of bounds; the message names the value.
    pub const fn new(chaos: ChaosType) -> Result<Self, ChaosConfigError> {
        match chaos {
            ChaosType::Pause { duration }
                if duration.is_zero() || duration.as_nanos() > MAX_PAUSE.as_nanos() =>
            {
                Err(ChaosConfigError::Duration(duration))
            }
            ChaosType::Burst { multiplier } if multiplier == 0 || multiplier > MAX_MULTIPLIER => {
                Err(ChaosConfigError::Multiplier(multiplier))
            }
            _ => Ok(Self { chaos }),
        }
    }

    /// The fault.
    pub const fn chaos(&self) -> ChaosType {
        self.chaos
    }
}

impl fmt::Display for ChaosConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chaos {
            ChaosType::Pause { duration } => write!(f, "pause of {duration:?}"),
            ChaosType::Burst { multiplier } => write!(f, "burst of {multiplier} times the limit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_out_of_bounds_name_the_value() {
        let pause = |s| ChaosConfig::new(ChaosType::Pause { duration: Duration::from_secs(s) });
        let burst = |multiplier| ChaosConfig::new(ChaosType::Burst { multiplier });
        assert!(pause(1).is_ok() && pause(60).is_ok() && burst(1).is_ok() && burst(100).is_ok());
        assert!(pause(0).unwrap_err().to_string().contains("pause is 0ns"));
        assert!(pause(61).unwrap_err().to_string().contains("pause is 61s"));
        assert!(burst(0).unwrap_err().to_string().contains("multiplier is 0"));
        assert!(burst(101).unwrap_err().to_string().contains("multiplier is 101"));
    }
}
