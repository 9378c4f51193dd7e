use std::time::Duration;

use demo_core::{ChaosConfig, ChaosType};

/// Counter drift: the store takes no writes for ten seconds.
pub const COUNTER_DRIFT_CONFIG: ChaosConfig = valid(ChaosType::Pause { duration: Duration::from_secs(10) });

/// Ghost allowing: twice the limit at one instant.
pub const GHOST_ALLOWING_CONFIG: ChaosConfig = valid(ChaosType::Burst { multiplier: 2 });

/// Checked when this crate is compiled.
const fn valid(chaos: ChaosType) -> ChaosConfig {
    match ChaosConfig::new(chaos) {
        Ok(config) => config,
        Err(_) => panic!("the configuration is out of bounds"),
    }
}
