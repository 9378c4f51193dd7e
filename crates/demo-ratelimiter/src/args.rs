//! Arguments that several commands share, and their bounds.

use std::time::Duration;

use clap::Args;
use demo_core::{ChaosConfig, ChaosType};
use ratelimiter_api::{Endpoint, Key, Limit};
use ratelimiter_chaos::{DEFAULT_MULTIPLIER, DEFAULT_WINDOW, Scope};
use ratelimiter_cli::{StoreText, Usage};

/// Deadline of one request to a node or to the store.
pub(crate) const REQUEST: Duration = Duration::from_secs(2);

/// Key, limit and size of a burst.
#[derive(Debug, Args)]
pub(crate) struct BurstSize {
    /// Key that the burst checks
    #[arg(long, default_value = "demo-chaos-key")]
    pub(crate) key: Key,
    /// Admissions allowed to that key in a window
    #[arg(long, default_value_t = 10)]
    limit: i64,
    /// Window of that limit, in whole seconds
    #[arg(long, default_value_t = DEFAULT_WINDOW.into())]
    window: humantime::Duration,
    /// Size of the burst, as a multiple of the limit (1 to 100)
    #[arg(long, default_value_t = DEFAULT_MULTIPLIER, value_parser = multiplier)]
    pub(crate) multiplier: u32,
}

impl BurstSize {
    /// The limit, when it is within its bounds.
    pub(crate) fn limit(&self) -> Result<Limit, Usage> {
        let window: Duration = self.window.into();
        if window.subsec_nanos() != 0 {
            return Err(Usage(format!("window is {window:?}: it must be whole seconds")));
        }
        let seconds = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
        Limit::new(self.limit, seconds).map_err(Usage::of)
    }
}

/// A running cluster, instead of a local one that is started for the run.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Node of a running cluster; repeat the flag for each node
    #[arg(long = "endpoint", value_name = "URL", requires = "redis_url")]
    pub(crate) endpoints: Vec<Endpoint>,
    /// Store of that cluster
    #[arg(
        long,
        value_name = "URL",
        requires = "endpoints",
        env = "RATELIMITER_STORE",
        hide_env_values = true
    )]
    pub(crate) redis_url: Option<StoreText>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// The permission to leave this machine.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Reach {
    /// Allow nodes and stores on other machines
    #[arg(long)]
    allow_remote: bool,
}

impl Reach {
    pub(crate) fn scope(self) -> Scope {
        if self.allow_remote { Scope::Anywhere } else { Scope::ThisMachine }
    }
}

/// Parses the length of a pause.
pub(crate) fn pause(text: &str) -> Result<humantime::Duration, String> {
    let pause: humantime::Duration = text.parse().map_err(|e: humantime::DurationError| e.to_string())?;
    within_bounds(ChaosType::Pause { duration: pause.into() })?;
    Ok(pause)
}

/// Parses the size of a burst.
fn multiplier(text: &str) -> Result<u32, String> {
    let multiplier = text.parse().map_err(|_| String::from("expected a whole number"))?;
    within_bounds(ChaosType::Burst { multiplier })?;
    Ok(multiplier)
}

fn within_bounds(chaos: ChaosType) -> Result<ChaosConfig, String> {
    ChaosConfig::new(chaos).map_err(|e| e.to_string())
}
