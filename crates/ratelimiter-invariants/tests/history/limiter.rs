//! Histories of a limiter that decides at one instant within each operation, and is right.

use std::time::Duration;

use proptest::prelude::*;
use ratelimiter_api::{Operation, Outcome};
use ratelimiter_invariants::{HistoryChecker, Verdict, check_history};

use crate::{contract, ms, operation};

#[derive(Clone, Debug)]
struct Check {
    gap: u64,
    before: u64,
    after: u64,
    node: usize,
    answered: bool,
}

fn checks(latency: u64, always_answered: bool) -> impl Strategy<Value = Vec<Check>> {
    let answered = if always_answered {
        Just(true).boxed()
    } else {
        prop::bool::weighted(0.9).boxed()
    };
    let one = (0..40_u64, 0..=latency, 0..=latency, 0..3_usize, answered).prop_map(
        |(gap, before, after, node, answered)| Check {
            gap,
            before,
            after,
            node,
            answered,
        },
    );
    prop::collection::vec(one, 1..300)
}

/// The records of the callers of a sliding-window limiter.
fn history(checks: &[Check], max: u32, window: u64) -> Vec<Operation> {
    let mut now = 1_000;
    let mut admitted: Vec<u64> = Vec::new();
    let record = |check: &Check| {
        now += check.gap;
        let allowed = admitted.iter().filter(|&&at| now < at + window).count() < max as usize;
        if allowed {
            admitted.push(now);
        }
        let outcome = match (check.answered, allowed) {
            (false, _) => Outcome::Unknown,
            (true, true) => Outcome::Allowed,
            (true, false) => Outcome::Denied,
        };
        operation(outcome, check.node, now - check.before, now + check.after)
    };
    checks.iter().map(record).collect()
}

proptest! {
    #[test]
    fn is_never_accused(checks in checks(60, false), max in 1..20_u32, window in 1..500_u64) {
        let report = check_history(&history(&checks, max, window), contract(max, window)).unwrap();
        prop_assert!(!matches!(report.verdict, Verdict::Violated(_)), "{report}");
        prop_assert!(report.unjustified_denials.is_empty(), "{report}");
    }

    #[test]
    fn passes_when_its_answers_take_no_time(
        checks in checks(0, true),
        max in 1..20_u32,
        window in 1..500_u64,
    ) {
        let report = check_history(&history(&checks, max, window), contract(max, window)).unwrap();
        prop_assert!(report.is_clean(), "{report}");
    }

    #[test]
    fn one_excess_admission_yields_witness_of_limit_plus_one(
        checks in checks(60, false),
        max in 1..20_u32,
        window in 100..500_u64,
        nodes in 1..4_usize,
    ) {
        let mut operations = history(&checks, max, window);
        let last = operations.iter().map(|op| ms(op.complete)).max().unwrap();
        // far from everything else, a full window and one more
        let begin = last + 2 * window;
        let burst = (0..=max).map(|n| {
            operation(
                Outcome::Allowed,
                n as usize % nodes,
                begin + u64::from(n),
                begin + 50,
            )
        });
        let burst: Vec<_> = burst.collect();
        operations.splice(0..0, burst.iter().cloned());

        let report = check_history(&operations, contract(max, window)).unwrap();
        let Verdict::Violated(witness) = report.verdict else {
            panic!("{report}")
        };
        prop_assert_eq!(witness.operations, burst);
        prop_assert_eq!(report.definite_peak, u64::from(max) + 1);
    }

    #[test]
    fn denials_before_complete_history_are_not_judged(
        checks in checks(60, false),
        cut in 0..300_usize,
        max in 1..20_u32,
        window in 1..500_u64,
    ) {
        let whole = history(&checks, max, window);
        let seen = &whole[cut.min(whole.len())..];
        // all decisions since the last one that was cut off have been seen
        let since: u64 = 1_000 + checks.iter().take(cut).map(|check| check.gap).sum::<u64>();
        let checker =
            HistoryChecker::new(contract(max, window)).complete_since(Duration::from_millis(since));
        let report = checker.check(&seen.try_into().unwrap());
        prop_assert!(report.unjustified_denials.is_empty(), "{report}");
    }
}
