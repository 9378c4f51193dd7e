use std::time::Duration;

use demo_core::{ChaosConfig, ChaosType};

/// Default length of a write pause.
pub const DEFAULT_PAUSE: Duration = Duration::from_secs(10);

/// Default size of a burst, in limits.
pub const DEFAULT_MULTIPLIER: u32 = 2;

/// Counter drift: the store takes no writes for [`DEFAULT_PAUSE`].
pub const COUNTER_DRIFT_CONFIG: ChaosConfig = valid(ChaosType::Pause { duration: DEFAULT_PAUSE });

/// Ghost allowing: [`DEFAULT_MULTIPLIER`] times the limit at one instant.
pub const GHOST_ALLOWING_CONFIG: ChaosConfig = valid(ChaosType::Burst { multiplier: DEFAULT_MULTIPLIER });

/// Checked when this crate is compiled.
const fn valid(chaos: ChaosType) -> ChaosConfig {
    match ChaosConfig::new(chaos) {
        Ok(config) => config,
        Err(_) => panic!("the configuration is out of bounds"),
    }
}
