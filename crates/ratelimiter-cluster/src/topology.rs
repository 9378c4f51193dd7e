use std::time::Duration;

/// The stores of a local cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreTopology {
    /// One store.
    #[default]
    Single,
    /// A store cluster of three primaries, with one replica each where `replicas` is true.
    Cluster {
        /// Whether each primary has a replica.
        replicas: bool,
    },
    /// A primary, a replica and three sentinels, which agree that the primary is down after it was
    /// silent for `down_after`.
    Sentinel {
        /// Silence of the primary after which a sentinel takes it to be down.
        down_after: Duration,
    },
}

impl StoreTopology {
    /// Sentinels that fail over half a second after the primary's last answer.
    pub const SENTINEL: Self = Self::Sentinel {
        down_after: Duration::from_millis(500),
    };

    /// Stores: the primaries, then their replicas in the same order.
    pub const fn stores(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Cluster { replicas: false } => 3,
            Self::Cluster { replicas: true } => 6,
            Self::Sentinel { .. } => 2,
        }
    }

    /// Primaries.
    pub const fn primaries(self) -> usize {
        match self {
            Self::Single | Self::Sentinel { .. } => 1,
            Self::Cluster { .. } => 3,
        }
    }

    pub(crate) const fn sentinels(self) -> usize {
        match self {
            Self::Single | Self::Cluster { .. } => 0,
            Self::Sentinel { .. } => 3,
        }
    }

    /// Ports: one a store and a sentinel, and a second one a store in a cluster.
    pub(crate) const fn ports(self) -> usize {
        match self {
            Self::Cluster { .. } => 2 * self.stores(),
            Self::Single | Self::Sentinel { .. } => self.stores() + self.sentinels(),
        }
    }
}
