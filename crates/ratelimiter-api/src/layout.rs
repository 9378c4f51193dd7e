//! The cluster's entries in the store.
//!
//! - [`LIMITS`], a hash: key to [`LimitEntry`](crate::LimitEntry) as JSON.
//! - [`LIMITS_VERSION`], an integer that grows with every change of a limit: nodes read the changes
//!   only then.
//! - [`LIMITS_CHANGED`], a sorted set: one member a limit, by the version of its last change.
//! - [`LIMITS_DELETED`], a sorted set: the newest 10,000 deleted keys, by the version of their
//!   deletion.
//! - [`LIMITS_STATE`], a hash: `life`, a random name that is new when the store has lost its state;
//!   `floor`, the version of the newest deletion that is no longer kept; `lost`, the time at which
//!   a node noticed the last loss, microseconds.
//! - [`NODES`], a hash: node id to [`Heartbeat`] as JSON.
//! - [`CLOCK`], a hash, the common clock: `offset`, what has to be added to the store's clock, and
//!   `at`, the newest time that a node has sent, both microseconds.
//! - [`admissions`], a sorted set: one member an admission, `node:boot:sequence`, by its time in
//!   microseconds on the common clock.
//! - [`leases`], a hash and two sorted sets: the grants of a key that is counted as `leased`, and
//!   their ends.
//!
//! Entries that belong together have a member each that shows that they were not lost: under the
//! empty name in the hash of limits and its two sorted sets, and under `#` in the three entries of
//! a leased key. Only admissions expire.
//!
//! All entries but those of a key have the hash tag `ratelimiter`, so that one member of a store
//! cluster holds them; a key's own entries have the key as hash tag. A cluster moreover keeps [a
//! copy](LimitCopy) of each limit in use beside its admissions.
//!
//! Members are unique to an admission. Adding one twice changes nothing, so a flush whose outcome
//! is unknown is repeated as it was.

use http::uri::Authority;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Key, NodeId};

/// The hash of limits.
pub const LIMITS: &str = "{ratelimiter}:limits";
/// The version of the hash of limits.
pub const LIMITS_VERSION: &str = "{ratelimiter}:limits:version";
/// The keys with limits, by the version of their last change.
pub const LIMITS_CHANGED: &str = "{ratelimiter}:limits:changed";
/// The deleted keys, by the version of their deletion.
pub const LIMITS_DELETED: &str = "{ratelimiter}:limits:deleted";
/// The name of the limits' state, and the floor of its deletions.
pub const LIMITS_STATE: &str = "{ratelimiter}:limits:state";
/// The hash of heartbeats.
pub const NODES: &str = "{ratelimiter}:nodes";

/// The common clock.
pub const CLOCK: &str = "{ratelimiter}:clock";
/// The fields of [`CLOCK`].
pub const CLOCK_FIELDS: [&str; 2] = ["offset", "at"];
/// The member of each entry of the limits that shows that it was not lost. No key has this name.
pub const PART: &str = "";

/// The sorted set of a key's admissions. The key is the hash tag: a store cluster keeps all entries
/// of a key together.
pub fn admissions(key: &Key, epoch: u64) -> String {
    format!("ratelimiter:admissions:{{{key}}}:{epoch}")
}

/// The entries of the grants of a leased key: the hash of grants, the sorted set of those that
/// count, by end, and the sorted set of those that no longer do. A grant's value in the hash is
/// `charge given end settled`, times in microseconds.
pub fn leases(key: &Key, epoch: u64) -> [String; 3] {
    let [_, leases @ ..] = counter(key, epoch);
    leases
}

/// All entries of one counter of a key: its admissions, and its grants.
pub fn counter(key: &Key, epoch: u64) -> [String; 4] {
    ["admissions", "grants", "ends", "past"]
        .map(|part| format!("ratelimiter:{part}:{{{key}}}:{epoch}"))
}

/// The names of a limit's copy beside the admissions of its key, in a store cluster, where a script
/// reaches the entries of one slot only. Their types are those of the entries that they replace;
/// the version is that of the limit's last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitCopy {
    /// Replaces [`LIMITS`].
    pub limits: String,
    /// Replaces [`LIMITS_CHANGED`].
    pub changed: String,
    /// Replaces [`LIMITS_DELETED`].
    pub deleted: String,
    /// Replaces [`LIMITS_VERSION`].
    pub version: String,
    /// Replaces [`CLOCK`].
    pub clock: String,
}

impl LimitCopy {
    /// The copy of one key's limit.
    pub fn of(key: &Key) -> Self {
        let name = |part: &str| format!("ratelimiter:{part}:{{{key}}}");
        Self {
            limits: name("limits"),
            changed: name("limits:changed"),
            deleted: name("limits:deleted"),
            version: name("limits:version"),
            clock: name("clock"),
        }
    }

    /// The entries themselves, where one store has them all.
    pub fn originals() -> Self {
        Self {
            limits: LIMITS.to_owned(),
            changed: LIMITS_CHANGED.to_owned(),
            deleted: LIMITS_DELETED.to_owned(),
            version: LIMITS_VERSION.to_owned(),
            clock: CLOCK.to_owned(),
        }
    }
}

/// A node's own entry, written at every sync. Others write into a store, too: a text that no node
/// writes is refused, since it would be shown as an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Listen address of the node, `host:port`.
    #[serde(deserialize_with = "address")]
    pub address: String,
    /// Random id of the node's process; changes on restart.
    #[serde(deserialize_with = "boot")]
    pub boot: String,
    /// Address of another process that beats under the same id, where there is one.
    #[serde(
        default,
        deserialize_with = "optional_address",
        skip_serializing_if = "Option::is_none"
    )]
    pub also_at: Option<String>,
    /// The time at which it was sent, microseconds on the common clock.
    pub at_us: u64,
}

/// Whether a text can be the address of a node: a host, and perhaps a port.
pub fn is_address(text: &str) -> bool {
    text.parse::<Authority>().is_ok() && !text.contains('@')
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if is_address(&text) {
        return Ok(text);
    }
    Err(D::Error::custom(format!("{text:?} is no address")))
}

fn optional_address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    address(from).map(Some)
}

fn boot<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if NodeId::is_id(&text) {
        return Ok(text);
    }
    Err(D::Error::custom(format!("{text:?} is no id of a process")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str, also_at: &str, boot: &str) -> bool {
        let text = serde_json::json!({
            "address": address, "boot": boot, "also_at": also_at, "at_us": 1,
        });
        serde_json::from_value::<Heartbeat>(text).is_ok()
    }

    #[test]
    fn heartbeat_that_no_node_writes_is_refused() {
        assert!(read("127.0.0.1:8001", "[::1]:8001", "b00t"));
        for odd in [
            "",
            "a\u{1b}:1",
            "a b",
            "user@host:1",
            "\u{9b}2J:1",
            "\u{202e}",
        ] {
            assert!(!read(odd, "a:1", "b"), "{odd:?}");
            assert!(!read("a:1", odd, "b"), "{odd:?}");
            assert!(!read("a:1", "a:1", odd), "{odd:?}");
        }
        let beat = Heartbeat {
            address: "a:1".into(),
            boot: "b".into(),
            also_at: None,
            at_us: 1,
        };
        let text = serde_json::to_string(&beat).unwrap();
        assert_eq!(serde_json::from_str::<Heartbeat>(&text).unwrap(), beat);
    }
}
