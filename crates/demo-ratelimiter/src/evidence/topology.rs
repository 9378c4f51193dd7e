use std::time::Duration;

use diagnosis::{Entity, EvidenceBuilder};
use ratelimiter_api::Key;

/// The entity of all senders of checks.
pub const CLIENTS: &str = "clients";
/// The entity of the store.
pub const STORE: &str = "store";

/// The entity of a key. Keys and nodes could share a name, so a key's is marked.
pub fn key_entity(key: &Key) -> String {
    format!("key {key}")
}

/// Describes the parts, their work and their dependencies.
pub(crate) fn describe<'a>(
    mut builder: EvidenceBuilder,
    nodes: impl Iterator<Item = (&'a str, Duration)>,
    keys: &[String],
) -> EvidenceBuilder {
    builder = builder
        .entity(
            Entity::new(CLIENTS, "load")
                .called("the clients")
                .describes("send checks to the nodes in turn"),
        )
        .entity(
            Entity::new(STORE, "database")
                .called("the store")
                .describes("keeps every node's admissions, the limits and the heartbeats"),
        );
    for key in keys {
        let text = "what may be admitted of one key in a sliding window, by all nodes together";
        builder = builder.entity(
            Entity::new(key, "quota")
                .called(format!("the {key}"))
                .describes(text),
        );
    }
    for (node, interval) in nodes {
        let text = "answers checks, and exchanges what it admitted with the other nodes by way of \
            the store";
        builder = builder
            .entity(
                Entity::new(node, "service")
                    .describes(text)
                    .propagates_every(interval),
            )
            .edge(CLIENTS, node, "sends checks to")
            .edge(node, STORE, "keeps its admissions in");
        for key in keys {
            builder = builder.edge(key, node, "is shared out by");
        }
    }
    builder
}
