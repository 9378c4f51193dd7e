use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outside_text::read_file;
use ratelimiter_api::layout::is_address;
use ratelimiter_api::{
    CountingMode, LimitEntry, LimitError, LimitSpec, NodeId, StoreFailurePolicy,
};
use ratelimiter_store::StoreUrl;

/// The largest file of limits, bytes: room for as many limits as a cluster may have.
const LARGEST_LIMITS: u64 = 128 * 1024 * 1024;

/// The settings of a node, not checked yet.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The node's name, unique in its cluster: 1 to 64 letters, digits, dots, dashes and
    /// underscores.
    pub id: String,
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
    /// Limits that hold until the store is reached; then those whose keys have none there are added
    /// to it.
    pub limits: Vec<LimitSpec>,
    /// Run ids (`INFO server`) of stores that were made for this cluster: empty because they are
    /// new, and not because they lost their state.
    pub new_store: Vec<String>,
    /// Consent to listen beyond loopback without an admin token.
    pub without_token: bool,
    /// Client connections served at once.
    pub max_connections: usize,
    /// Client connections served at once of one peer address.
    pub max_connections_per_peer: usize,
}

/// The reason why settings are refused.
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
    /// An address at which no other could reach the node.
    #[error("advertise is {0:?}: it must be HOST:PORT")]
    Advertise(String),
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
    /// A text that is no store's run id.
    #[error(
        "{0:?} is not the run id of a store: take the 40 hexadecimal digits of run_id in its INFO \
         server"
    )]
    RunId(String),
    /// A bound of zero connections.
    #[error("max connections, and those per peer, must be at least 1")]
    NoConnections,
}

impl NodeSettings {
    /// A node with the defaults of the command line.
    pub fn new(id: impl Into<String>, listen: SocketAddr, store: StoreUrl) -> Self {
        Self {
            id: id.into(),
            listen,
            advertise: None,
            store,
            counting: CountingMode::Cached,
            on_store_failure: None,
            sync_interval: Duration::from_millis(200),
            store_timeout: Duration::from_millis(200),
            admin_token: None,
            limits: Vec::new(),
            new_store: Vec::new(),
            without_token: false,
            max_connections: 4096,
            max_connections_per_peer: 1024,
        }
    }
}

/// The configuration of a node: settings within their bounds.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) id: NodeId,
    /// The configured limits, with the node's defaults. All nodes give them epoch 0, so that they
    /// share their counters.
    pub(crate) limits: Vec<LimitEntry>,
    pub(crate) settings: NodeSettings,
    /// Random number of the process, by which its admissions and grants are named.
    pub(crate) random: u64,
}

impl Config {
    /// Checks the settings.
    ///
    /// # Errors
    /// When one is outside its range, or the node would listen beyond loopback without a token and
    /// without consent.
    pub fn new(settings: NodeSettings) -> Result<Self, ConfigError> {
        let id = &settings.id;
        if !NodeId::is_id(id) {
            return Err(ConfigError::Id(id.clone()));
        }
        if let Some(address) = settings.advertise.as_ref().filter(|text| !is_address(text)) {
            return Err(ConfigError::Advertise(address.clone()));
        }
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        within("sync interval", settings.sync_interval, ms(10), s(60))?;
        within("store timeout", settings.store_timeout, ms(1), s(10))?;
        match &settings.admin_token {
            Some(token) if token.is_empty() => return Err(ConfigError::Token("empty")),
            Some(token) if !token.bytes().all(|b| b.is_ascii_graphic()) => {
                return Err(ConfigError::Token("not printable"));
            }
            None if !settings.without_token
                && !settings.listen.ip().to_canonical().is_loopback() =>
            {
                return Err(ConfigError::NoToken(settings.listen));
            }
            _ => {}
        }
        let is_run_id = |id: &&String| id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(wrong) = settings.new_store.iter().find(|id| !is_run_id(id)) {
            return Err(ConfigError::RunId(wrong.clone()));
        }
        if settings.max_connections == 0 || settings.max_connections_per_peer == 0 {
            return Err(ConfigError::NoConnections);
        }
        let entry = |spec: &LimitSpec| {
            let (counting, policy) = (settings.counting, settings.on_store_failure);
            limit_entry(spec, counting, policy).map_err(|source| ConfigError::Limit {
                key: spec.key.to_string(),
                source,
            })
        };
        Ok(Self {
            id: NodeId::from(id.as_str()),
            limits: settings
                .limits
                .iter()
                .map(entry)
                .collect::<Result<_, _>>()?,
            settings,
            // The keys of a hasher come from the system's random source.
            random: RandomState::new().hash_one(std::process::id()),
        })
    }
}

fn within(
    name: &'static str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Duration {
        name,
        value,
        min,
        max,
    })
}

/// The entry of a limit within its bounds, with the node's defaults where it has none of its own.
pub(crate) fn limit_entry(
    spec: &LimitSpec,
    counting: CountingMode,
    on_store_failure: Option<StoreFailurePolicy>,
) -> Result<LimitEntry, LimitError> {
    Ok(LimitEntry {
        key: spec.key.clone(),
        limit: spec.validate()?,
        counting: spec.counting.unwrap_or(counting),
        on_store_failure: spec.policy(counting, on_store_failure),
        epoch: 0,
    })
}

/// Reads limits from a JSON file: a list of objects as `POST /limit` takes them.
///
/// # Errors
/// When the file cannot be read, is no such list, has a limit out of its range, or has two for one
/// key.
pub fn read_limits(path: &Path) -> Result<Vec<LimitSpec>, ConfigError> {
    let wrong = |why: String| ConfigError::Limits {
        path: path.to_owned(),
        why,
    };
    let text = read_file(path, LARGEST_LIMITS).map_err(|e| wrong(e.to_string()))?;
    let specs: Vec<LimitSpec> = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    let mut keys = HashSet::new();
    for spec in &specs {
        spec.validate()
            .map_err(|e| wrong(format!("key {:?}: {e}", spec.key.as_str())))?;
        if !keys.insert(&spec.key) {
            return Err(wrong(format!("key {:?} has two limits", spec.key.as_str())));
        }
    }
    Ok(specs)
}
