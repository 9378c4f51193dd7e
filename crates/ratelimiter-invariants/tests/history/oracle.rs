//! Small histories, judged by trying every placement of every decision.
//!
//! Times are whole milliseconds and intervals are closed, so placements at whole milliseconds are
//! as good as all others.

use proptest::prelude::*;
use ratelimiter_api::{Operation, Outcome};
use ratelimiter_invariants::{Doubt, Proof, Verdict, VerdictBasis, check_history};

use crate::contracts::{Decision, placements};
use crate::{cases, contract, ms, operation};

/// The number of decisions in `(end - window, end]`.
fn in_window(decisions: &[Decision], end: u64, window: u64) -> u64 {
    decisions
        .iter()
        .filter(|(at, _)| *at <= end && end < at + window)
        .count() as u64
}

fn peak(decisions: &[Decision], window: u64) -> u64 {
    decisions
        .iter()
        .map(|&(end, _)| in_window(decisions, end, window))
        .max()
        .unwrap_or(0)
}

/// The smallest and largest peak over all placements.
fn peaks(operations: &[&Operation], horizon: u64, window: u64) -> (u64, u64) {
    let (mut least, mut most) = (u64::MAX, 0);
    placements(operations, horizon, &mut Vec::new(), &mut |decisions| {
        let peak = peak(decisions, window);
        (least, most) = (least.min(peak), most.max(peak));
    });
    (least, most)
}

/// The shortest span of any `count` of the operations.
fn shortest_span(operations: &[&Operation], count: usize) -> Option<u64> {
    let subsets = 0..1_u32 << operations.len();
    let chosen = |subset: u32| {
        let bits = move |(n, op): (usize, &&Operation)| {
            (subset & (1 << n) != 0).then(|| (ms(op.invoke), ms(op.complete)))
        };
        operations
            .iter()
            .enumerate()
            .filter_map(bits)
            .collect::<Vec<_>>()
    };
    let spans = subsets
        .map(chosen)
        .filter(|chosen| chosen.len() == count && count > 0);
    spans
        .map(|chosen| {
            chosen.iter().map(|c| c.1).max().unwrap() - chosen.iter().map(|c| c.0).min().unwrap()
        })
        .min()
}

fn histories() -> impl Strategy<Value = Vec<Operation>> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Allowed),
        3 => Just(Outcome::Denied),
        1 => Just(Outcome::Unknown),
    ];
    let one =
        (outcome, 0..3_usize, 0..10_u64, 0..5_u64).prop_map(|(outcome, node, invoke, length)| {
            operation(outcome, node, invoke, invoke + length)
        });
    prop::collection::vec(one, 0..8)
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn every_claim_is_what_all_placements_say(
        history in histories(),
        max in 1..4_u32,
        window in 1..8_u64,
    ) {
        let report = check_history(&history, contract(max, window)).unwrap();
        let limit = u64::from(max);
        let horizon = history.iter().map(|op| ms(op.complete)).max().unwrap_or(0);
        let with = |outcomes: &[Outcome]| -> Vec<&Operation> {
            history
                .iter()
                .filter(|op| outcomes.contains(&op.outcome))
                .collect()
        };
        let allowed = with(&[Outcome::Allowed]);
        let admissible = with(&[Outcome::Allowed, Outcome::Unknown]);

        let (least, most) = peaks(&admissible, horizon, window);
        prop_assert_eq!(report.possible_peak, most);
        let fits =
            |&count: &usize| shortest_span(&allowed, count).is_some_and(|span| span < window);
        let definite = (1..=allowed.len())
            .filter(fits)
            .max()
            .unwrap_or(0)
            .max(allowed.len().min(1));
        prop_assert!(
            report.definite_peak >= definite as u64 && report.definite_peak <= least.max(1)
        );
        prop_assert_ne!(
            report.settled,
            VerdictBasis::Undecided,
            "with unit costs and few operations all is decided"
        );

        match &report.verdict {
            Verdict::Pass => prop_assert!(most <= limit),
            Verdict::Violated(witness) => {
                prop_assert!(least > limit, "every placement must break it");
                prop_assert!(
                    witness
                        .operations
                        .iter()
                        .all(|op| history.contains(op) && op.outcome == Outcome::Allowed)
                );
                if witness.proof == Proof::Placement {
                    prop_assert_eq!(
                        (report.settled, report.definite_peak),
                        (VerdictBasis::BySearch, limit + 1)
                    );
                    prop_assert!(!fits(&(max as usize + 1)), "a span proves it");
                    let chosen: Vec<&Operation> = witness.operations.iter().collect();
                    prop_assert!(
                        peaks(&chosen, horizon, window).0 > limit,
                        "the witness alone proves it"
                    );
                    return Ok(());
                }
                prop_assert_eq!(report.definite_peak, definite as u64);
                prop_assert_eq!(witness.operations.len(), max as usize + 1);
                prop_assert!(
                    witness
                        .operations
                        .iter()
                        .all(|op| op.invoke >= witness.start)
                );
                prop_assert!(
                    witness
                        .operations
                        .iter()
                        .all(|op| op.complete <= witness.start + witness.span)
                );
                prop_assert_eq!(
                    Some(ms(witness.span)),
                    shortest_span(&allowed, max as usize + 1)
                );
                prop_assert!(ms(witness.span) < window);
            }
            Verdict::Unknown {
                definite,
                possible,
                why,
            } => {
                prop_assert!(
                    least <= limit && most > limit,
                    "one placement keeps it, another breaks it"
                );
                prop_assert_eq!(
                    (*definite, *possible),
                    (report.definite_peak, report.possible_peak)
                );
                let by_timing = peaks(&allowed, horizon, window).1 > limit;
                prop_assert_eq!(
                    *why,
                    if by_timing {
                        Doubt::Timing
                    } else {
                        Doubt::Outcomes
                    }
                );
            }
        }
    }

    #[test]
    fn denials_are_unjustified_without_any_full_placement(
        history in histories(),
        max in 1..4_u32,
        window in 1..8_u64,
    ) {
        let report = check_history(&history, contract(max, window)).unwrap();
        let horizon = history.iter().map(|op| ms(op.complete)).max().unwrap_or(0);
        let admissible: Vec<_> = history
            .iter()
            .filter(|op| op.outcome != Outcome::Denied)
            .collect();
        let mut expected = Vec::new();
        for denial in history.iter().filter(|op| op.outcome == Outcome::Denied) {
            let mut most = 0;
            placements(&admissible, horizon, &mut Vec::new(), &mut |decisions| {
                for at in ms(denial.invoke)..=ms(denial.complete) {
                    most = most.max(in_window(decisions, at, window));
                }
            });
            if most < u64::from(max) {
                expected.push((denial.clone(), most));
            }
        }
        let found: Vec<_> = report
            .unjustified_denials
            .into_iter()
            .map(|u| (u.operation, u.possible))
            .collect();
        prop_assert_eq!(found, expected);
    }
}
