//! `Duration` as a number of seconds in JSON, rounded to the millisecond.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded(*value))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|e| D::Error::custom(format!("{seconds} seconds: {e}")))
}

/// Seconds to the millisecond, as they are written and compared.
pub(crate) fn rounded(value: Duration) -> f64 {
    (value.as_secs_f64() * 1e3).round() / 1e3
}

/// The nearest millisecond of a number of seconds; zero for a number that is no time.
pub(crate) fn from(seconds: f64) -> Duration {
    Duration::try_from_secs_f64((seconds * 1e3).round() / 1e3).unwrap_or(Duration::ZERO)
}

/// The same for a duration that may be absent.
pub(crate) mod optional {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Seconds(#[serde(with = "super")] Duration);

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Seconds).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Seconds>::deserialize(from)?.map(|seconds| seconds.0))
    }
}
