use clap::Args;
use ratelimiter_api::Endpoint;
use ratelimiter_cli::{Reach, StoreCa, StoreText};

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
    pub(crate) store_ca: StoreCa,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
