use std::net::SocketAddr;
use std::time::Duration;

use ratelimiter_api::{CountingMode, NodeId, StoreFailurePolicy};
use ratelimiter_store::StoreUrl;

/// Everything a node can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name, unique in its cluster.
    pub id: NodeId,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where others reach it, if that is not where it listens: `host:port`.
    pub advertise: Option<String>,
    /// The store that all nodes of the cluster share.
    pub store: StoreUrl,
    /// How keys without a mode of their own are counted.
    pub counting: CountingMode,
    /// What a failing store means for keys without a policy of their own.
    pub on_store_failure: StoreFailurePolicy,
    /// Time between two syncs with the store, and between two heartbeats.
    pub sync_interval: Duration,
    /// How long a check waits for the store.
    pub store_timeout: Duration,
    /// What changes of limits and counters must present, if anything.
    pub admin_token: Option<String>,
}

/// Why a configuration cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A duration outside its range.
    #[error("{name} is {value:?}: it must be between {min:?} and {max:?}")]
    Duration {
        /// Which.
        name: &'static str,
        /// What was given.
        value: Duration,
        /// The shortest allowed.
        min: Duration,
        /// The longest allowed.
        max: Duration,
    },
    /// An empty or unprintable id.
    #[error("id is {0:?}: it must be 1 to 64 letters, digits, dots, dashes or underscores")]
    Id(String),
}

impl Config {
    /// A node with the defaults of the command line.
    ///
    /// # Errors
    /// When the id is empty, long, or holds anything but letters, digits, dots, dashes and underscores.
    pub fn new(id: &str, listen: SocketAddr, store: StoreUrl) -> Result<Self, ConfigError> {
        let printable = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if id.is_empty() || id.len() > 64 || !id.chars().all(printable) {
            return Err(ConfigError::Id(id.to_owned()));
        }
        Ok(Self {
            id: NodeId::from(id),
            listen,
            advertise: None,
            store,
            counting: CountingMode::Cached,
            on_store_failure: StoreFailurePolicy::Local,
            sync_interval: Duration::from_millis(200),
            store_timeout: Duration::from_millis(200),
            admin_token: None,
        })
    }

    /// Checks the durations.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("sync interval", self.sync_interval, Duration::from_millis(10), Duration::from_secs(60)),
            ("store timeout", self.store_timeout, Duration::from_millis(1), Duration::from_secs(10)),
        ];
        for (name, value, min, max) in ranges {
            if value < min || value > max {
                return Err(ConfigError::Duration { name, value, min, max });
            }
        }
        Ok(())
    }
}
