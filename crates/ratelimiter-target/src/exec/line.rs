//! The lines of a child.

use std::time::Duration;

use ratelimiter_api::{Claims, Outcome, StatedTime};
use serde_json::Value;

use crate::CheckAnswer;

/// The answer of a line that came so long after its check.
pub(super) fn read(answer: &Value, after: Duration) -> CheckAnswer {
    let outcome = match (answer["failed"].as_bool(), answer["allowed"].as_bool()) {
        (Some(true), Some(true)) => {
            return CheckAnswer::unknown("the line has both \"failed\" and \"allowed\"");
        }
        (Some(true), _) => return CheckAnswer::failed("the library failed"),
        (_, Some(true)) => Outcome::Allowed,
        (_, Some(false)) => Outcome::Denied,
        (_, None) => {
            return CheckAnswer::unknown("the line has neither \"allowed\" nor \"failed\"");
        }
    };
    let (claims, detail) = claims(answer);
    let time = |name: &str| {
        let ms = answer[name].as_f64()?;
        Duration::try_from_secs_f64(ms / 1e3).ok()
    };
    // The time for which the check did not wait.
    let without = |waited: Duration| after.saturating_sub(waited);
    let held = time("held_ms").or(time("waited_ms").map(without));
    CheckAnswer {
        claims,
        used: used(answer),
        held: held.unwrap_or_default().min(after),
        detail,
        ..CheckAnswer::plain(outcome)
    }
}

/// The cost that a line states as used.
pub(super) fn used(line: &Value) -> Option<u32> {
    u32::try_from(line["used"].as_u64()?).ok()
}

/// The statements of a line, and the names of its fields about quota that were not understood.
fn claims(answer: &Value) -> (Claims, String) {
    let (mut claims, mut remarks) = (Claims::default(), Vec::new());
    for (name, value) in answer.as_object().into_iter().flatten() {
        let time = || StatedTime::seconds(value.as_f64()? / 1e3);
        let understood = match name.as_str() {
            _ if value.is_null() => true,
            "limit" => is_set(&mut claims.limit, value.as_u64()),
            "remaining" => is_set(&mut claims.remaining, value.as_i64()),
            "reset_ms" => is_set(&mut claims.reset, time()),
            "retry_after_ms" => is_set(&mut claims.retry_after, time()),
            other => !["retry", "reset", "remaining"]
                .iter()
                .any(|word| other.contains(word)),
        };
        if !understood {
            remarks.push(format!("{name} was not understood"));
        }
    }
    (claims, remarks.join(", "))
}

/// Sets a field to a value, if there is one.
fn is_set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    *field = value;
    field.is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_allowed_denied_failed_or_unknown() {
        let outcome = |line: Value| read(&line, Duration::ZERO).outcome;
        assert_eq!(outcome(json!({"allowed": true})), Outcome::Allowed);
        assert_eq!(
            outcome(json!({"allowed": false, "failed": false})),
            Outcome::Denied
        );
        assert_eq!(outcome(json!({"failed": true})), Outcome::Failed);
        assert_eq!(
            outcome(json!({"failed": true, "allowed": false})),
            Outcome::Failed
        );
        assert_eq!(
            outcome(json!({"failed": true, "allowed": true})),
            Outcome::Unknown
        );
        assert_eq!(outcome(json!({"ok": true})), Outcome::Unknown);
    }

    #[test]
    fn statements_of_a_line_are_read_or_named() {
        let stated = |line: Value| {
            let answer = read(&line, Duration::ZERO);
            (answer.claims, answer.detail)
        };
        let whole = json!({"allowed": false, "limit": 10, "remaining": -1, "reset_ms": null,
            "retry_after_ms": -1500.5, "elapsed": 3});
        let claims = Claims {
            limit: Some(10),
            remaining: Some(-1),
            reset: None,
            retry_after: StatedTime::seconds(-1.5005),
        };
        assert_eq!(stated(whole), (claims, String::new()));
        // One field of another type takes no other away.
        let partly = json!({"allowed": true, "remaining": 4, "limit": "ten", "retry_after": 1});
        let (claims, detail) = stated(partly);
        assert_eq!(claims.remaining, Some(4));
        assert_eq!(
            detail,
            "limit was not understood, retry_after was not understood"
        );
    }
    #[test]
    fn time_beside_a_wait_is_the_calls() {
        let held = |line: Value| read(&line, Duration::from_millis(100)).held.as_millis();
        assert_eq!(held(json!({"allowed": true})), 0);
        assert_eq!(held(json!({"allowed": true, "waited_ms": 40})), 60);
        assert_eq!(held(json!({"allowed": true, "waited_ms": 400})), 0);
        assert_eq!(held(json!({"allowed": true, "held_ms": 30, "used": 7})), 30);
    }
}
