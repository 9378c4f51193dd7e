use diagnosis::Violation as Broken;
use ratelimiter_invariants::{Subject, Violation, ViolationNumbers};

use super::{STORE, key_entity};

/// Of each invariant and subject the first: what was violated again and again is still one thing to
/// explain.
pub(crate) fn firsts<'a>(
    violations: impl IntoIterator<Item = &'a Violation>,
) -> Vec<&'a Violation> {
    let mut firsts: Vec<&Violation> = violations.into_iter().collect();
    firsts.sort_by_key(|v| (v.detected_at, v.invariant));
    let mut seen = Vec::new();
    firsts.retain(|v| {
        let new = !seen.contains(&(v.invariant, &v.subject));
        seen.push((v.invariant, &v.subject));
        new
    });
    firsts
}

/// A violation as the diagnosis wants it: where, which, when, how much where how much was allowed.
pub(crate) fn broken(violation: &Violation) -> Broken {
    let entity = match &violation.subject {
        Subject::Node(node) => node.to_string(),
        Subject::Key(key) => key_entity(key),
        Subject::Store => STORE.to_owned(),
    };
    let (observed, bound) = match &violation.peak {
        ViolationNumbers::NodeDown(_) | ViolationNumbers::RedisDisconnected(_) => (0.0, 1.0),
        ViolationNumbers::StoreNotWritable(e) => (e.age.as_secs_f64(), e.allowed.as_secs_f64()),
        ViolationNumbers::HighLatency(e) => (
            e.check_p99.as_secs_f64() * 1e3,
            e.allowed.as_secs_f64() * 1e3,
        ),
        ViolationNumbers::CounterDrift(e) => (e.drift.unsigned_abs() as f64, e.tolerance as f64),
        ViolationNumbers::StoreForgot(e) => (e.lost as f64, 0.0),
        ViolationNumbers::Overspent(e) => (e.admitted as f64, e.charged as f64),
        ViolationNumbers::OverLimit(e) => (e.shared as f64, e.limit.admissions().into()),
        ViolationNumbers::GhostAllowing(e) => (e.admitted as f64, e.limit.admissions().into()),
    };
    Broken::new(
        entity,
        violation.invariant.to_string(),
        violation.detected_at,
        observed,
        bound,
    )
}
