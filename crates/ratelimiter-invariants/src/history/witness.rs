use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ratelimiter_api::{NodeId, Operation};
use serde::Serialize;

use super::{Contract, Timeline};
use crate::text::{ByNode, Human, millis};

/// The shortest proof that a contract was broken: one admission more than it allows, all of them wholly inside a span
/// shorter than its window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// What was broken.
    pub contract: Contract,
    /// The admissions by time of invoke, one more than the contract allows.
    pub operations: Vec<Operation>,
    /// The first invoke.
    #[serde(rename = "start_ms", serialize_with = "millis")]
    pub start: Duration,
    /// From the first invoke to the last completion.
    #[serde(rename = "span_ms", serialize_with = "millis")]
    pub span: Duration,
}

impl Witness {
    /// How many of the admissions each node granted.
    pub fn by_node(&self) -> BTreeMap<NodeId, u64> {
        let mut counts = BTreeMap::new();
        for operation in &self.operations {
            *counts.entry(operation.node.clone()).or_default() += 1;
        }
        counts
    }

    /// The admissions drawn as bars over the span, in lines of at most `width` columns.
    pub fn timeline(&self, width: usize) -> Timeline<'_> {
        Timeline::new(self, width)
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contract, operations, span, .. } = self;
        let by_node = self.by_node();
        write!(
            f,
            "{} admissions within {} ({}), limit {contract}",
            operations.len(),
            Human(*span),
            ByNode(&by_node)
        )
    }
}
