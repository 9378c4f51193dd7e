//! Header fields in which limiters state quota: the current IETF fields, their drafts, and the
//! vendors' own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use ratelimiter_api::Claims;

/// Milliseconds since the epoch are at least this, by far more than any reset in seconds.
const EPOCH_MS: f64 = 1e12;
/// Seconds since the epoch are at least this.
const EPOCH_S: f64 = 1e9;

/// The claims of an HTTP answer. Fields that cannot be read are no claims.
pub(crate) fn of(headers: &HeaderMap) -> Claims {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let number = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| text(name)?.trim().parse::<f64>().ok())
    };
    let member = |name: &str| text("ratelimit").and_then(|list| parameter(list, name));
    let limit = text("ratelimit-policy").and_then(|list| parameter(list, "q"));
    let limit = limit.or_else(|| {
        number(&[
            "ratelimit-limit",
            "x-ratelimit-limit",
            "x-ratelimit-limit-minute",
        ])
    });
    let remaining = member("r").or_else(|| {
        number(&[
            "ratelimit-remaining",
            "x-ratelimit-remaining",
            "x-ratelimit-remaining-minute",
        ])
    });
    let reset = member("t").or_else(|| number(&["ratelimit-reset", "x-ratelimit-reset"]));
    let retry = number(&["retry-after", "x-retry-in"]);
    Claims {
        limit: limit.filter(|n| *n >= 0.0).map(|n| n as u64),
        remaining: remaining.map(|n| n as i64),
        reset: reset.and_then(from_now),
        retry_after: retry.and_then(from_now),
    }
}

/// A parameter of the first member of a structured-field list: `"default";r=7;t=42` (RFC 9651).
fn parameter(list: &str, name: &str) -> Option<f64> {
    let first = list.split(',').next()?;
    first.split(';').skip(1).find_map(|p| {
        p.trim()
            .strip_prefix(name)?
            .strip_prefix('=')?
            .trim()
            .parse()
            .ok()
    })
}

/// A reset as the time from now: seconds, or seconds or milliseconds since the epoch, told apart by
/// their size.
fn from_now(value: f64) -> Option<Duration> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()?
        .as_secs_f64();
    let seconds = match value {
        v if v >= EPOCH_MS => v / 1e3 - now,
        v if v >= EPOCH_S => v - now,
        v => v,
    };
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(fields: &[(&'static str, &str)]) -> Claims {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().unwrap());
        }
        of(&headers)
    }

    #[test]
    fn current_fields_are_read() {
        let found = claims(&[
            ("ratelimit-policy", "\"default\";q=10;w=60"),
            ("ratelimit", "\"default\";r=7;t=42"),
            ("retry-after", "42"),
        ]);
        assert_eq!((found.limit, found.remaining), (Some(10), Some(7)));
        assert_eq!(
            (found.reset, found.retry_after),
            (Some(Duration::from_secs(42)), Some(Duration::from_secs(42)))
        );
    }

    #[test]
    fn vendors_fields_are_read() {
        let found = claims(&[("x-ratelimit-remaining", "-3"), ("x-ratelimit-reset", "30")]);
        assert_eq!(
            (found.remaining, found.reset),
            (Some(-3), Some(Duration::from_secs(30)))
        );
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
            + 100;
        let reset = claims(&[("x-ratelimit-reset", &epoch.to_string())])
            .reset
            .unwrap();
        assert!((90..=100).contains(&reset.as_secs()), "{reset:?}");
        assert_eq!(
            claims(&[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")]),
            Claims::default()
        );
    }
}
