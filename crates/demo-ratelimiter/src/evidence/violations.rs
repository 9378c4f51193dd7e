use diagnosis::BrokenInvariant;
use ratelimiter_invariants::{Subject, Violation, ViolationNumbers};

use super::{STORE, key_entity};

/// The first violation of each invariant and subject: repeated violations need one explanation.
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

/// A violation in the terms of the diagnosis: entity, invariant, time, observed value and bound.
pub(crate) fn broken(violation: &Violation) -> BrokenInvariant {
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
    BrokenInvariant::new(
        entity,
        violation.invariant.to_string(),
        violation.detected_at,
        observed,
        bound,
    )
}
