//! Arguments of the commands that inject faults, and their bounds.

use std::time::Duration;

use clap::Args;
use ratelimiter_api::{Key, Limit};
use ratelimiter_chaos::{DEFAULT_WINDOW, Multiplier, Scope};

use crate::Usage;

/// Deadline of one request to a node or to the store.
pub const REQUEST: Duration = Duration::from_secs(2);

/// Key, limit and size of a burst.
#[derive(Debug, Args)]
pub struct BurstSize {
    /// Key that the burst checks
    #[arg(long, default_value = "demo-chaos-key")]
    pub key: Key,
    /// Admissions allowed to that key in a window
    #[arg(long, default_value_t = 10)]
    limit: i64,
    /// Window of that limit, in whole seconds
    #[arg(long, default_value_t = DEFAULT_WINDOW.into())]
    window: humantime::Duration,
    /// Size of the burst, as a multiple of the limit (1 to 100)
    #[arg(long, default_value_t = Multiplier::DEFAULT)]
    pub multiplier: Multiplier,
}

impl BurstSize {
    /// The limit, when it is within its bounds.
    ///
    /// # Errors
    /// When it is not.
    pub fn limit(&self) -> Result<Limit, Usage> {
        let window: Duration = self.window.into();
        if window.subsec_nanos() != 0 {
            return Err(Usage(format!(
                "window is {window:?}: it must be whole seconds"
            )));
        }
        let seconds = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
        Limit::new(self.limit, seconds).map_err(Usage::of)
    }
}

/// The permission to leave this machine.
#[derive(Clone, Copy, Debug, Args)]
pub struct Reach {
    /// Allow nodes and stores on other machines
    #[arg(long)]
    allow_remote: bool,
}

impl Reach {
    /// How far faults and traffic may reach.
    pub fn scope(self) -> Scope {
        if self.allow_remote {
            Scope::Anywhere
        } else {
            Scope::ThisMachine
        }
    }
}
