//! Where the cluster's state lies in the store.
//!
//! | entry | type | holds |
//! |---|---|---|
//! | [`LIMITS`] | hash | key to [`LimitEntry`](crate::LimitEntry) as JSON |
//! | [`LIMITS_VERSION`] | integer | grows with every change of a limit, so that nodes reload only then; its absence means that the store lost its state |
//! | [`NODES`] | hash | node id to [`Heartbeat`] as JSON |
//! | [`admissions`] | sorted set | one member an admission, `node:boot:sequence`, scored with its time in microseconds on the store's clock |
//!
//! Members are unique to an admission. Adding one twice changes nothing, so a flush whose outcome is unknown is
//! repeated as it was.

use serde::{Deserialize, Serialize};

use crate::Key;

/// The hash of limits.
pub const LIMITS: &str = "ratelimiter:limits";
/// The version of the hash of limits.
pub const LIMITS_VERSION: &str = "ratelimiter:limits:version";
/// The hash of heartbeats.
pub const NODES: &str = "ratelimiter:nodes";

/// The sorted set of a key's admissions. The key is the hash tag: a store cluster keeps all of a key's sets together.
pub fn admissions(key: &Key, epoch: u64) -> String {
    format!("ratelimiter:admissions:{{{key}}}:{epoch}")
}

/// What a node writes of itself at every sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Where the node listens, `host:port`.
    pub address: String,
    /// Which life of the node this is.
    pub boot: String,
    /// When it was sent, microseconds on the store's clock.
    pub at_us: u64,
}
