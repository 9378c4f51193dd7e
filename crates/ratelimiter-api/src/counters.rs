use serde::{Deserialize, Serialize};

use crate::{CountingMode, Key, KeySample, Limit, NodeId};

/// Keys in one answer of `GET /limits` or `GET /counters`, at most.
pub const MAX_PAGE: usize = 10_000;

/// `GET /counters`, optionally with `?at_us=T`: this node's counters of each key's window.
///
/// The query selects the keys: `key=K` (repeatable); or a page by `after=K` and `limit=N`, of the
/// first [`MAX_PAGE`] keys by default; or with `active=true` an [`ActivePage`].
///
/// With `at_us`, admissions are counted in the span `(T - window, T]` on the store's clock.
/// Observers ask every node and the store about the same span, so the sums compare although the
/// samples are taken at different instants; nodes keep admissions a little longer than the
/// window to be able to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounters {
    /// The node that answers.
    pub node: NodeId,
    /// Random id of the node's process; changes on restart.
    pub boot: String,
    /// Start of that process, microseconds on the store's clock.
    pub started_at_us: u64,
    /// The end of the span counted, microseconds on the store's clock.
    pub at_us: u64,
    /// One entry a limit, by key.
    pub counters: Vec<KeyCounter>,
}

/// A page of the keys in use, which were checked within their window or have admissions left, and
/// some others. A key of the page's span that the answer does not list was not admitted within its
/// window by this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivePage {
    /// The page begins behind this key.
    pub after: Option<Key>,
    /// Number of its keys, 1 to [`MAX_PAGE`].
    pub most: usize,
    /// Keys that are listed whether they are in use or not.
    pub also: Vec<Key>,
}

impl Default for ActivePage {
    /// The first page, as large as a page may be.
    fn default() -> Self {
        Self {
            after: None,
            most: MAX_PAGE,
            also: Vec::new(),
        }
    }
}

/// One key on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounter {
    /// The counted key.
    pub key: Key,
    /// The limit in force.
    #[serde(flatten)]
    pub limit: Limit,
    /// The counting mode.
    pub counting: CountingMode,
    /// Number of the counter; a reset begins the next one.
    pub epoch: u64,
    /// This node's own admissions in the span.
    pub count: u64,
    /// Those of them that the store has not confirmed.
    pub unsynced: u64,
    /// Those of them that the store had confirmed and lost. The node sends them again and goes on
    /// listing them.
    #[serde(default)]
    pub lost: u64,
    /// The shared count at the last refresh, absent before the first.
    pub shared: Option<u64>,
    /// Age of `shared` in milliseconds.
    pub shared_age_ms: Option<u64>,
    /// The node's grants, of a key that is counted as `leased`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseCounter>,
}

impl KeyCounter {
    /// The numbers of this counter that observers compare.
    pub fn sample(&self) -> KeySample {
        KeySample {
            unsynced: self.unsynced,
            leased: self.lease.map_or(0, |lease| lease.admitted),
            lost: self.lost,
            ..KeySample::new(self.limit, self.epoch, self.count)
        }
    }
}

/// A node's grants of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseCounter {
    /// Those of the node's own admissions in the span that a grant covers.
    pub admitted: u64,
    /// Admissions that the store counts for this node in the window that ends now, by the node's
    /// knowledge: those that it made, and those that it could still make.
    pub charged: u64,
    /// Admissions that the node may still make without asking the store.
    pub unspent: u64,
    /// Unspent charge that the node gives back, and the store has not confirmed yet.
    pub stranded: u64,
}
