use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ratelimiter_api::{
    CountingMode, LimitEntry, LimitError, LimitSpec, NodeId, StoreFailurePolicy,
};
use ratelimiter_store::StoreUrl;

/// The configuration of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name, unique in its cluster.
    pub id: NodeId,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address at which others reach the node, `host:port`, if not the one it listens on.
    pub advertise: Option<String>,
    /// The store that all nodes of the cluster share.
    pub store: StoreUrl,
    /// Counting mode of keys without one of their own.
    pub counting: CountingMode,
    /// Store failure policy of keys without one of their own.
    pub on_store_failure: Option<StoreFailurePolicy>,
    /// Time between two syncs with the store, and between two heartbeats.
    pub sync_interval: Duration,
    /// Longest wait of a check for the store.
    pub store_timeout: Duration,
    /// Token that changes of limits and counters, and lists of keys, need; printable ASCII.
    pub admin_token: Option<String>,
    /// Limits that hold before the store was reached; added to it where it has none for their keys.
    pub limits: Vec<LimitSpec>,
    /// Consent to listen beyond loopback without an admin token.
    pub without_token: bool,
    /// Client connections served at once.
    pub max_connections: usize,
    /// Client connections served at once of one peer address.
    pub max_connections_per_peer: usize,
}

/// A configuration that no node can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A duration outside its range.
    #[error("{name} is {value:?}: it must be between {min:?} and {max:?}")]
    Duration {
        /// The setting.
        name: &'static str,
        /// The value given.
        value: Duration,
        /// The shortest allowed.
        min: Duration,
        /// The longest allowed.
        max: Duration,
    },
    /// An empty or unprintable id.
    #[error("id is {0:?}: it must be 1 to 64 letters, digits, dots, dashes or underscores")]
    Id(String),
    /// An admin token that no client can send, or that protects nothing. The token itself is left
    /// out.
    #[error(
        "the admin token is {0}: it must be one or more printable ASCII characters without spaces"
    )]
    Token(&'static str),
    /// An address beyond loopback, where anyone could change limits.
    #[error(
        "{0} is reachable from other machines, and without an admin token they could change \
         limits: set one (RATELIMITER_ADMIN_TOKEN), or accept that with --without-token"
    )]
    NoToken(SocketAddr),
    /// A file of limits that cannot be used.
    #[error("limits in {}: {why}", .path.display())]
    Limits {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// A limit out of its range.
    #[error("key {key:?}: {source}")]
    Limit {
        /// The key.
        key: String,
        /// The reason.
        source: LimitError,
    },
    /// Room for no connection.
    #[error("max connections, and those per peer, must be at least 1")]
    NoConnections,
}

impl Config {
    /// A node with the defaults of the command line.
    ///
    /// # Errors
    /// When the id is empty, long, or holds anything but letters, digits, dots, dashes and
    /// underscores.
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
            on_store_failure: None,
            sync_interval: Duration::from_millis(200),
            store_timeout: Duration::from_millis(200),
            admin_token: None,
            limits: Vec::new(),
            without_token: false,
            max_connections: 4096,
            max_connections_per_peer: 1024,
        })
    }

    /// The configured limits, with the node's defaults. All nodes give them epoch 0, so that they
    /// share their counters.
    pub(crate) fn limit_entries(&self) -> Result<Vec<LimitEntry>, ConfigError> {
        let entry = |spec: &LimitSpec| {
            let key = spec.key.clone();
            match spec.validate() {
                Ok(limit) => Ok(LimitEntry {
                    key,
                    limit,
                    counting: spec.counting.unwrap_or(self.counting),
                    on_store_failure: spec.policy(self.counting, self.on_store_failure),
                    epoch: 0,
                }),
                Err(source) => Err(ConfigError::Limit {
                    key: key.to_string(),
                    source,
                }),
            }
        };
        self.limits.iter().map(entry).collect()
    }

    /// Checks durations, counts and the admin token.
    ///
    /// # Errors
    /// When one is outside its range, or the node would listen beyond loopback without a token and
    /// without consent.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ranges = [
            (
                "sync interval",
                self.sync_interval,
                Duration::from_millis(10),
                Duration::from_secs(60),
            ),
            (
                "store timeout",
                self.store_timeout,
                Duration::from_millis(1),
                Duration::from_secs(10),
            ),
        ];
        for (name, value, min, max) in ranges {
            if value < min || value > max {
                return Err(ConfigError::Duration {
                    name,
                    value,
                    min,
                    max,
                });
            }
        }
        match &self.admin_token {
            Some(token) if token.is_empty() => return Err(ConfigError::Token("empty")),
            Some(token) if !token.bytes().all(|b| b.is_ascii_graphic()) => {
                return Err(ConfigError::Token("not printable"));
            }
            None if !self.without_token && !self.listen.ip().to_canonical().is_loopback() => {
                return Err(ConfigError::NoToken(self.listen));
            }
            _ => {}
        }
        if self.max_connections == 0 || self.max_connections_per_peer == 0 {
            return Err(ConfigError::NoConnections);
        }
        Ok(())
    }
}
