use std::time::Duration;

use clap::ValueEnum;
use ratelimiter_cluster::StoreTopology;

/// The stores of the local cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopologyChoice {
    /// One store
    #[default]
    Single,
    /// A store cluster of three primaries
    Cluster,
    /// A primary, a replica and three sentinels
    Sentinel,
}

/// Patience of the sentinels beyond the pause: to them a paused primary is silent, and the story is
/// not about a failover.
const BEYOND: Duration = Duration::from_secs(10);

impl TopologyChoice {
    /// The stores to start for a story with a write pause of this length.
    pub(crate) fn stores(self, pause: Duration) -> StoreTopology {
        match self {
            Self::Single => StoreTopology::Single,
            Self::Cluster => StoreTopology::Cluster { replicas: false },
            Self::Sentinel => StoreTopology::Sentinel {
                down_after: pause + BEYOND,
            },
        }
    }
}
