//! Whether a limiter's own statements agree with its answers.

use std::time::Duration;

use ratelimiter_api::{Operation, Outcome};
use ratelimiter_invariants::{Contract, ContractKind, History};

/// Contradictions between header fields and answers. Fields about the quota left are compared only
/// for checks that were made one after the other: at the time of a burst they are out of date when
/// they arrive.
pub(crate) fn contradictions(history: &History, contract: Contract) -> Vec<String> {
    if !history.has_claims() {
        return Vec::new();
    }
    let negative = history
        .iter()
        .find(|op| left(op).is_some_and(|left| left < 0));
    let mut found: Vec<String> = negative
        .map(|op| {
            format!(
                "{} stated {} remaining",
                op.node,
                left(&op).unwrap_or_default()
            )
        })
        .into_iter()
        .collect();
    if pairs(history).all(|(before, after)| before.complete <= after.invoke) {
        found.extend(denied_with_quota(history));
        found.extend(rising(history, contract));
    }
    found
}

/// Each check and the next one.
fn pairs(history: &History) -> impl Iterator<Item = (Operation, Operation)> {
    history.iter().zip(history.iter().skip(1))
}

fn left(op: &Operation) -> Option<i64> {
    op.claims.remaining
}

fn denied_with_quota(history: &History) -> Option<String> {
    history
        .iter()
        .filter(|op| op.outcome == Outcome::Denied)
        .find_map(|op| {
            let left = left(&op).filter(|left| *left >= i64::from(op.cost))?;
            Some(format!(
                "{} denied a check of cost {} and stated {left} remaining",
                op.node, op.cost
            ))
        })
}

/// The quota left must not rise over an admission, as stated by one node, unless quota returned
/// between.
fn rising(history: &History, contract: Contract) -> Option<String> {
    let admitted = |op: &Operation| op.outcome == Outcome::Allowed && left(op).is_some();
    let first = history.iter().next()?.invoke;
    let mut risen: Option<Duration> = None;
    for (before, after) in pairs(history) {
        let both = admitted(&before) && admitted(&after);
        if !both || before.node != after.node || left(&after) <= left(&before) {
            continue;
        }
        let may_return = match contract.kind() {
            // The first admission leaves the window.
            ContractKind::Sliding => after.complete >= first + contract.window(),
            // One edge in a window.
            ContractKind::Fixed | ContractKind::Aligned => risen
                .replace(after.complete)
                .is_none_or(|risen| after.complete >= risen + contract.window()),
            ContractKind::TokenBucket => {
                let elapsed = (after.complete - before.invoke).as_secs_f64();
                let refilled =
                    f64::from(contract.max()) * elapsed / contract.window().as_secs_f64();
                // One more for a bucket that rounds.
                left(&after)
                    <= left(&before)
                        .map(|left| left + 1 + refilled.ceil() as i64 - i64::from(after.cost))
            }
        };
        if !may_return {
            let (from, to) = (
                left(&before).unwrap_or_default(),
                left(&after).unwrap_or_default(),
            );
            return Some(format!(
                "{} stated {from} remaining and, one admission later, {to}",
                after.node
            ));
        }
    }
    None
}
