use std::time::Duration;

use clap::Args;
use cli_support::WrongUsage;
use ratelimiter_api::{Key, Limit};
use ratelimiter_chaos::{DEFAULT_WINDOW, Multiplier};

/// Key, limit and size of the burst.
#[derive(Debug, Args)]
pub(crate) struct BurstArgs {
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
    #[arg(long, default_value_t = Multiplier::DEFAULT)]
    pub(crate) multiplier: Multiplier,
}

impl BurstArgs {
    /// The limit, when it is within its bounds.
    pub(crate) fn limit(&self) -> Result<Limit, WrongUsage> {
        let window: Duration = self.window.into();
        if window.subsec_nanos() != 0 {
            return Err(WrongUsage(format!(
                "window is {window:?}: it must be whole seconds"
            )));
        }
        let seconds = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
        Limit::new(self.limit, seconds).map_err(WrongUsage::of)
    }
}
