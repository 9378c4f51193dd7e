//! Durations on the wire are fractional milliseconds, in fields whose names end in `_ms`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(as_ms(*value))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from_ms(f64::deserialize(from)?)
}

fn as_ms(value: Duration) -> f64 {
    (value.as_secs_f64() * 1e6).round() / 1e3
}

fn from_ms<E: serde::de::Error>(ms: f64) -> Result<Duration, E> {
    Duration::try_from_secs_f64(ms / 1e3)
        .map_err(|_| E::custom(format!("{ms} ms is not a duration")))
}

/// The same for a duration that may be absent.
pub(crate) mod option {
    use super::{Duration, as_ms, from_ms};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<Ser: Serializer>(
        value: &Option<Duration>,
        to: Ser,
    ) -> Result<Ser::Ok, Ser::Error> {
        match value {
            Some(value) => to.serialize_some(&as_ms(*value)),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, De: Deserializer<'de>>(
        from: De,
    ) -> Result<Option<Duration>, De::Error> {
        Option::<f64>::deserialize(from)?.map(from_ms).transpose()
    }
}
