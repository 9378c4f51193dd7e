//! The JSON of the API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A proxy as clients send it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProxyInput {
    pub(super) name: String,
    pub(super) listen: Option<String>,
    pub(super) upstream: Option<String>,
    pub(super) enabled: Option<bool>,
}

/// A toxic as clients send it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToxicInput {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) stream: String,
    pub(super) toxicity: Option<f64>,
    pub(super) attributes: Map<String, Value>,
    /// The lease, as in the attributes.
    #[serde(rename = "for")]
    pub(super) lease: Option<String>,
}

/// A proxy as clients receive it.
#[derive(Debug, Serialize)]
pub(super) struct ProxyView {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) upstream: String,
    pub(super) enabled: bool,
    pub(super) toxics: Vec<ToxicView>,
    pub(super) counters: CountersView,
    pub(super) seen: SeenView,
}

#[derive(Debug, Serialize)]
pub(super) struct CountersView {
    pub(super) connections: u64,
    pub(super) unreachable: u64,
    pub(super) commands: u64,
    pub(super) unmatched: u64,
    pub(super) streams: u64,
    pub(super) not_resp: u64,
}

/// The commands that came, so that a toxic without effects explains itself.
#[derive(Debug, Serialize)]
pub(super) struct SeenView {
    pub(super) commands: Map<String, Value>,
    pub(super) keys: Vec<String>,
    pub(super) more_keys: bool,
}

/// A toxic as clients receive it.
#[derive(Debug, Serialize)]
pub(super) struct ToxicView {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) stream: String,
    pub(super) toxicity: f64,
    pub(super) attributes: Map<String, Value>,
    /// The rule in its text form, with the seed of its draws.
    pub(super) rule: String,
    /// Whether the rule is still in force: its own duration may be over.
    pub(super) in_force: bool,
    pub(super) effects: u64,
    pub(super) fitted: u64,
    /// From the first effect to the end of the rule, or to the latest effect.
    pub(super) band_seconds: Option<f64>,
    /// Time until the lease ends.
    pub(super) lease_seconds: Option<f64>,
    pub(super) warnings: Vec<String>,
}
