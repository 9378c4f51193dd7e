//! The sliding contract's exact decision against a reference that tries every order of the
//! admissions.
//!
//! For one order, the earliest instants are the best: each decision is as late as its invoke, the
//! decision before it and the one that its window must not hold require. So trying every order is
//! trying every placement, also where there are too many placements to try.

use proptest::prelude::*;
use ratelimiter_api::{Operation, Outcome};
use ratelimiter_invariants::{Verdict, VerdictBasis, check_history};

use crate::{cases, contract, ms, operation};

/// Whether some order of the rest, behind these decisions, keeps the contract.
fn some_order(rest: &[(u64, u64)], decided: &mut Vec<u64>, max: usize, window: u64) -> bool {
    rest.is_empty()
        || (0..rest.len()).any(|next| {
            let mut rest = rest.to_vec();
            let (invoke, complete) = rest.swap_remove(next);
            let previous = decided.last().copied().unwrap_or(0);
            let freed = decided
                .len()
                .checked_sub(max)
                .map_or(0, |n| decided[n] + window);
            let earliest = invoke.max(previous).max(freed);
            if earliest > complete {
                return false;
            }
            decided.push(earliest);
            let kept = some_order(&rest, decided, max, window);
            decided.pop();
            kept
        })
}

fn keeps(operations: &[Operation], max: u32, window: u64) -> bool {
    let intervals: Vec<(u64, u64)> = operations
        .iter()
        .map(|op| (ms(op.invoke), ms(op.complete)))
        .collect();
    some_order(&intervals, &mut Vec::new(), max as usize, window)
}

/// Short and long operations, so that urgent ones lie inside patient ones.
fn admissions() -> impl Strategy<Value = Vec<Operation>> {
    let length = prop_oneof![0..3_u64, 0..20_u64];
    let one = (0..20_u64, length)
        .prop_map(|(invoke, length)| operation(Outcome::Allowed, 1, invoke, invoke + length));
    prop::collection::vec(one, 2..8)
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn sliding_verdicts_agree_with_every_order(
        history in admissions(),
        max in 1..4_u32,
        window in 2..10_u64,
        cost in 1..4_u32,
        spare in 0..4_u32,
    ) {
        // Equal costs and a limit that is no multiple of them: as unit costs with the limit rounded
        // down.
        let costly: Vec<Operation> = history.iter().map(|op| op.clone().costing(cost)).collect();
        let limit = max * cost + spare % cost;
        let report = check_history(&costly, contract(limit, window)).unwrap();
        prop_assert_ne!(report.settled, VerdictBasis::Undecided);
        let kept = keeps(&history, max, window);
        prop_assert_eq!(
            matches!(report.verdict, Verdict::Violated(_)),
            !kept,
            "{}",
            report
        );
        if let Verdict::Violated(witness) = report.verdict {
            let proof = witness.operations;
            prop_assert!(
                !keeps(&proof, max, window),
                "the witness alone proves nothing"
            );
            for left_out in 0..proof.len() {
                let mut fewer = proof.clone();
                fewer.remove(left_out);
                prop_assert!(
                    keeps(&fewer, max, window),
                    "operation {left_out} is not needed"
                );
            }
        }
    }
}
