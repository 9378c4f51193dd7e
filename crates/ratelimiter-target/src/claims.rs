//! Header fields in which limiters state quota: the current IETF fields, their drafts, and the
//! vendors' own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::DATE;
use ratelimiter_api::{Claims, StatedTime};

/// Milliseconds since the epoch are at least this, by far more than any reset in seconds.
const EPOCH_MS: f64 = 1e12;
/// Seconds since the epoch are at least this.
const EPOCH_S: f64 = 1e9;

const LIMIT: [&str; 3] = [
    "ratelimit-limit",
    "x-ratelimit-limit",
    "x-ratelimit-limit-minute",
];
const REMAINING: [&str; 3] = [
    "ratelimit-remaining",
    "x-ratelimit-remaining",
    "x-ratelimit-remaining-minute",
];
const RESET: [&str; 2] = ["ratelimit-reset", "x-ratelimit-reset"];
const RETRY: [&str; 2] = ["retry-after", "x-retry-in"];

/// The most by which an answer's own date may differ from our clock for ours to be used: it is cut
/// off to a second, and travels for a while.
const SAME_CLOCK: Duration = Duration::from_secs(2);

/// The claims of an HTTP answer, and the names of its fields that were not understood.
pub(crate) fn of(headers: &HeaderMap, now: SystemTime) -> (Claims, Vec<String>) {
    let now = on_their_clock(headers, now);
    let field = |name: &str| number(name, headers.get(name)?.to_str().ok()?, now);
    let first = |names: &[&str]| names.iter().find_map(|name| field(name));
    let text = headers.get("ratelimit").and_then(|list| list.to_str().ok());
    let limit = field("ratelimit-policy").or_else(|| first(&LIMIT));
    let remaining = field("ratelimit").or_else(|| first(&REMAINING));
    let reset = text.and_then(|list| parameter(list, ["t", "reset"]));
    let reset = reset.or_else(|| first(&RESET));
    let retry = first(&RETRY);
    let claims = Claims {
        limit: limit.filter(|n| *n >= 0.0).map(|n| n as u64),
        remaining: remaining.map(|n| n as i64),
        reset: reset.and_then(|reset| from_now(reset, now)),
        // Seconds from now by its definition, whatever was meant.
        retry_after: retry.and_then(StatedTime::seconds),
    };
    let about_quota = |name: &str| {
        RETRY.contains(&name) || name.contains("ratelimit") || name.contains("rate-limit")
    };
    let unread = headers
        .keys()
        .filter(|name| about_quota(name.as_str()) && field(name.as_str()).is_none());
    let remarks = unread
        .map(|name| format!("{name} was not understood"))
        .collect();
    (claims, remarks)
}

/// The time at the limiter, which states dates and times since 1970 on its own clock.
fn on_their_clock(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let theirs = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let far = |theirs: &SystemTime| {
        let ahead = theirs.duration_since(now).unwrap_or_default();
        ahead.max(now.duration_since(*theirs).unwrap_or_default()) > SAME_CLOCK
    };
    theirs.filter(far).unwrap_or(now)
}

/// The number that a field states; a retry in seconds from now.
fn number(name: &str, value: &str, now: SystemTime) -> Option<f64> {
    let plain = || value.split([',', ';']).next()?.trim().parse().ok();
    match name {
        "ratelimit-policy" => parameter(value, ["q", "limit"]).or_else(plain),
        "ratelimit" => parameter(value, ["r", "remaining"]),
        "retry-after" => plain().or_else(|| date_from_now(value, now)),
        "x-retry-in" => plain().or_else(|| go_duration(value)),
        _ => [&LIMIT[..], &REMAINING, &RESET]
            .concat()
            .contains(&name)
            .then(plain)?,
    }
}

/// A parameter by one of its names, of the first member that has it: `"default";r=7;t=42`
/// (RFC 9651), or `limit=10, remaining=7, reset=42`.
fn parameter(list: &str, names: [&str; 2]) -> Option<f64> {
    list.split([',', ';']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        names
            .contains(&name.trim())
            .then(|| value.trim().parse().ok())?
    })
}

/// The seconds until an HTTP date. Its second is counted to its end: it was perhaps cut off.
fn date_from_now(value: &str, now: SystemTime) -> Option<f64> {
    let date = httpdate::parse_http_date(value).ok()? + Duration::from_secs(1);
    Some(match date.duration_since(now) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(past) => -past.duration().as_secs_f64(),
    })
}

/// Seconds of a duration as Go writes it: `1m2.5s`, `350ms`.
fn go_duration(text: &str) -> Option<f64> {
    let (mut rest, mut seconds) = (text.trim(), 0.0);
    while !rest.is_empty() {
        let (number, unit) = rest.split_at(rest.find(|c: char| c.is_alphabetic())?);
        let end = unit
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(unit.len());
        let (unit, more) = unit.split_at(end);
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = more;
    }
    Some(seconds)
}

/// A reset as the time from now: seconds, or seconds or milliseconds since the epoch, told apart by
/// their size.
fn from_now(value: f64, now: SystemTime) -> Option<StatedTime> {
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    let seconds = match value {
        v if v >= EPOCH_MS => v / 1e3 - now,
        v if v >= EPOCH_S => v - now,
        v => v,
    };
    StatedTime::seconds(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&'static str, &str)]) -> (Claims, Vec<String>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().unwrap());
        }
        of(&headers, UNIX_EPOCH + Duration::from_secs(1_700_000_000))
    }

    fn claims(fields: &[(&'static str, &str)]) -> Claims {
        let (claims, remarks) = read(fields);
        assert_eq!(remarks, [""; 0]);
        claims
    }

    #[test]
    fn current_fields_are_read() {
        let found = claims(&[
            ("ratelimit-policy", "\"default\";q=10;w=60"),
            ("ratelimit", "\"default\";r=7;t=42"),
            ("retry-after", "42"),
        ]);
        let draft = claims(&[
            ("ratelimit-policy", "10;w=60"),
            ("ratelimit-limit", "10, 10;w=60"),
            ("ratelimit", "limit=10, remaining=7, reset=42"),
            ("x-retry-in", "42s"),
        ]);
        let all = |claims: Claims| {
            let times = (claims.reset, claims.retry_after);
            (claims.limit, claims.remaining, times)
        };
        let later = StatedTime::seconds(42.0);
        assert_eq!(all(found), (Some(10), Some(7), (later, later)));
        assert_eq!(all(draft), (Some(10), Some(7), (later, later)));
    }

    #[test]
    fn vendors_fields_are_read() {
        let found = claims(&[("x-ratelimit-remaining", "-3"), ("x-ratelimit-reset", "30")]);
        assert_eq!(
            (found.remaining, found.reset),
            (Some(-3), StatedTime::seconds(30.0))
        );
        let epoch = claims(&[("x-ratelimit-reset", "1700000100")]);
        assert_eq!(epoch.reset, StatedTime::seconds(100.0));
        let traefik = claims(&[("x-retry-in", "1m2.5s")]);
        assert_eq!(traefik.retry_after, StatedTime::seconds(62.5));
    }

    #[test]
    fn retries_of_every_form_are_read() {
        let retry = |value: &str| claims(&[("retry-after", value)]).retry_after;
        for (value, seconds) in [
            ("Tue, 14 Nov 2023 22:13:25 GMT", 6.0),
            ("Tue, 14 Nov 2023 22:13:10 GMT", -9.0),
            ("-5", -5.0),
            ("1700000060", 1_700_000_060.0),
        ] {
            assert_eq!(retry(value), StatedTime::seconds(seconds), "{value}");
        }
        let (claims, remarks) = read(&[("retry-after", "soon")]);
        assert_eq!(claims.retry_after, None);
        assert_eq!(remarks, ["retry-after was not understood"]);
    }

    #[test]
    fn dates_are_on_the_clock_of_the_limiter() {
        // Its clock is an hour ahead, and within two seconds the difference is none.
        for (date, seconds) in [
            ("Tue, 14 Nov 2023 23:13:20 GMT", 5.0),
            ("Tue, 14 Nov 2023 22:13:19 GMT", 3_605.0),
        ] {
            let fields = [("date", date), ("x-ratelimit-reset", "1700003605")];
            let reset = claims(&fields).reset;
            assert_eq!(reset, StatedTime::seconds(seconds), "{date}");
        }
    }

    #[test]
    fn unknown_fields_are_named() {
        let (claims, remarks) = read(&[("x-ratelimit-used", "3"), ("content-type", "text/plain")]);
        assert!(claims.is_empty());
        assert_eq!(remarks, ["x-ratelimit-used was not understood"]);
    }
}
