//! Durations as milliseconds in JSON.

use std::time::Duration;

pub(crate) fn millis<S: serde::Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((value.as_secs_f64() * 1e6).round() / 1e3)
}

#[expect(clippy::ref_option, reason = "the signature serde asks for")]
pub(crate) fn optional<S: serde::Serializer>(
    value: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => millis(value, to),
        None => to.serialize_none(),
    }
}
