//! The JSON that clients send.

use serde::Deserialize;
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
