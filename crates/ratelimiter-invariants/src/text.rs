//! How numbers are written: durations as fractional milliseconds in JSON, with a unit that fits for
//! people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ratelimiter_api::{NodeId, millis};
use serde::Serializer;

/// One duration a node, in milliseconds.
pub(crate) fn millis_by_node<S: Serializer>(
    values: &BTreeMap<NodeId, Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(
        values
            .iter()
            .map(|(node, value)| (node, millis::of(*value))),
    )
}

/// A duration for people: `60 s`, `1.24 s`, `87 ms`, `3.412 ms`.
pub(crate) struct HumanDuration(pub(crate) Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = millis::of(self.0);
        if self.0.subsec_nanos() == 0 && !self.0.is_zero() {
            write!(f, "{} s", self.0.as_secs())
        } else if ms >= 1_000.0 {
            write!(f, "{:.2} s", ms / 1e3)
        } else if ms >= 10.0 {
            write!(f, "{ms:.0} ms")
        } else {
            write!(f, "{ms:.3} ms")
        }
    }
}

/// `, node-3 missing`.
pub(crate) struct MissingNodes<'a>(pub(crate) &'a [NodeId]);

impl fmt::Display for MissingNodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|node| write!(f, ", {node} missing"))
    }
}

/// `node-1 29, node-2 31`.
pub(crate) struct ByNode<'a, T>(pub(crate) &'a BTreeMap<NodeId, T>);

impl<T: fmt::Display> fmt::Display for ByNode<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (node, value)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{node} {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        let text = |us| HumanDuration(Duration::from_micros(us)).to_string();
        assert_eq!(text(60_000_000), "60 s");
        assert_eq!(text(1_237_000), "1.24 s");
        assert_eq!(text(87_400), "87 ms");
        assert_eq!(text(3_412), "3.412 ms");
        assert_eq!(text(0), "0.000 ms");
    }
}
