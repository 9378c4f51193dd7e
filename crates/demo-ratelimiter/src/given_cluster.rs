use std::path::PathBuf;

use clap::Args;
use cli_support::{Hidden, WrongUsage};
use ratelimiter_api::Endpoint;
use ratelimiter_chaos::Reach;
use ratelimiter_store::StoreUrl;

/// A running cluster, instead of a local one that is started for the run.
#[derive(Debug, Args)]
pub(crate) struct GivenCluster {
    /// Node of a running cluster; repeat the flag for each node
    #[arg(long = "node", value_name = "URL", requires = "store")]
    pub(crate) endpoints: Vec<Endpoint>,
    /// Store of that cluster
    #[arg(
        long,
        value_name = "URL",
        requires = "endpoints",
        env = "RATELIMITER_STORE",
        hide_env_values = true
    )]
    store: Option<Hidden>,
    /// File of certificates in PEM form to trust beside the system's, for a rediss:// store with a
    /// private authority
    #[arg(long, value_name = "FILE", env = "RATELIMITER_STORE_CA")]
    store_ca: Option<PathBuf>,
    /// Allow nodes and stores on other machines
    #[arg(long)]
    allow_remote: bool,
}

impl GivenCluster {
    pub(crate) fn store(&self) -> Result<Option<StoreUrl>, WrongUsage> {
        let parse = |url: &Hidden| StoreUrl::parse(url.expose(), self.store_ca.as_deref());
        let store = self.store.as_ref().map(parse).transpose();
        store.map_err(WrongUsage::of)
    }

    pub(crate) fn reach(&self) -> Reach {
        Reach::new(self.allow_remote)
    }
}
