//! The topology file.
//!
//! ```json
//! {
//!   "entities": [{"id": "orders", "kind": "service", "describes": "takes orders"}],
//!   "edges": [{"from": "orders", "to": "orders-db", "rel": "keeps orders in"}],
//!   "columns": {
//!     "orders_p99": {"entity": "orders", "signal": "p99", "unit": "ms", "role": "latency"}
//!   },
//!   "symptom": "front"
//! }
//! ```
//!
//! Everything is optional. Without `columns`, a header is taken apart after the longest entity id
//! it begins with, or else at its first underscore; without `symptom`, whatever nothing depends on
//! is taken for where it was noticed.

use std::collections::BTreeMap;

use diagnosis::{Entity, SignalRole, TopologyEdge};
use serde::Deserialize;

/// The graph and roles that belong to the numbers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Declared {
    pub(crate) entities: Vec<Entity>,
    pub(crate) edges: Vec<TopologyEdge>,
    pub(crate) columns: BTreeMap<String, Column>,
    pub(crate) symptom: Option<String>,
}

/// What a column is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Column {
    pub(crate) entity: String,
    pub(crate) signal: String,
    #[serde(default)]
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) role: SignalRole,
}

impl Declared {
    /// What the column of that header is.
    pub(crate) fn column(&self, header: &str) -> Column {
        if let Some(column) = self.columns.get(header) {
            return column.clone();
        }
        let (entity, signal) = self
            .entities
            .iter()
            .filter_map(|e| {
                header
                    .strip_prefix(&e.id)?
                    .strip_prefix('_')
                    .map(|signal| (e.id.as_str(), signal))
            })
            .max_by_key(|(id, _)| id.len())
            .or_else(|| header.split_once('_'))
            .unwrap_or((header, "value"));
        Column {
            entity: entity.to_owned(),
            signal: signal.to_owned(),
            unit: String::new(),
            role: SignalRole::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_split_after_the_longest_entity() {
        let mut declared = Declared::default();
        let parts = |d: &Declared, header: &str| {
            let c = d.column(header);
            (c.entity, c.signal)
        };
        assert_eq!(parts(&declared, "a_b_c"), ("a".into(), "b_c".into()));
        assert_eq!(parts(&declared, "load"), ("load".into(), "value".into()));
        declared.entities = vec![Entity::new("a", ""), Entity::new("a_b", "")];
        assert_eq!(parts(&declared, "a_b_c"), ("a_b".into(), "c".into()));
        assert_eq!(parts(&declared, "a_x"), ("a".into(), "x".into()));
    }
}
