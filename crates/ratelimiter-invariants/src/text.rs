//! How numbers are written: durations as fractional milliseconds in JSON, with a unit that fits for
//! people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ratelimiter_api::NodeId;
use serde::Serializer;

/// For fields whose names end in `_ms`.
pub(crate) fn millis<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(as_ms(*value))
}

/// The same for one duration a node.
pub(crate) fn millis_by_node<S: Serializer>(
    values: &BTreeMap<NodeId, Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(values.iter().map(|(node, value)| (node, as_ms(*value))))
}

fn as_ms(value: Duration) -> f64 {
    (value.as_secs_f64() * 1e6).round() / 1e3
}

/// A duration for people: `60 s`, `1.24 s`, `87 ms`, `3.412 ms`.
pub(crate) struct Human(pub(crate) Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = as_ms(self.0);
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
        let text = |us| Human(Duration::from_micros(us)).to_string();
        assert_eq!(text(60_000_000), "60 s");
        assert_eq!(text(1_237_000), "1.24 s");
        assert_eq!(text(87_400), "87 ms");
        assert_eq!(text(3_412), "3.412 ms");
        assert_eq!(text(0), "0.000 ms");
    }
}
