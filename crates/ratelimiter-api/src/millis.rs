//! Durations on the wire: fractional milliseconds, in fields whose names end in `_ms`. For serde's
//! attribute `with`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Writes a duration.
///
/// # Errors
/// When the serializer fails.
pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(of(*value))
}

/// Reads a duration.
///
/// # Errors
/// When it is negative, too large, or no number.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(f64::deserialize(from)?)
}

/// Milliseconds of a duration, rounded to microseconds.
pub fn of(value: Duration) -> f64 {
    (value.as_secs_f64() * 1e6).round() / 1e3
}

fn duration<E: serde::de::Error>(ms: f64) -> Result<Duration, E> {
    Duration::try_from_secs_f64(ms / 1e3)
        .map_err(|_| E::custom(format!("{ms} ms is not a duration")))
}

/// A duration that may be absent.
pub mod option {
    use super::{Deserialize as _, Deserializer, Duration, Serializer, duration, of};

    /// Writes a duration or null.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_some(&of(*value)),
            None => to.serialize_none(),
        }
    }

    /// Reads a duration or null.
    ///
    /// # Errors
    /// When it is negative, too large, or no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(from)?.map(duration).transpose()
    }
}
