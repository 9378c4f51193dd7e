//! Thirty signals, one cause: it has to come first, and nothing may come first where there is none.

mod support;

use diagnosis::Verdict;
use support::{
    diagnosed, shown,
    synthetic::{ENTITIES, Plan, incident},
};

const SEEDS: u64 = 100;

/// In how many seeds the cause ranks first.
fn first(roles: bool) -> Vec<u64> {
    (0..SEEDS)
        .filter(|seed| {
            let cause = ENTITIES[1 + (*seed as usize) % 8];
            let evidence =
                incident(*seed, &Plan { cause: Some(cause), roles, topology: true, violated: true });
            let answer = diagnosed(&evidence);
            let right = answer.hypotheses.first().is_some_and(|h| h.entity == cause);
            if !right {
                println!("seed {seed}, cause {cause}\n{}\n", shown(&evidence, &answer));
            }
            right
        })
        .collect()
}

#[test]
fn the_cause_of_thirty_signals_ranks_first_in_every_seed() {
    assert_eq!(first(true).len() as u64, SEEDS);
}

#[test]
fn it_does_without_any_role_declared() {
    assert_eq!(first(false).len() as u64, SEEDS);
}

#[test]
fn noise_alone_has_no_cause_even_when_an_invariant_was_broken() {
    for seed in 0..SEEDS {
        for roles in [true, false] {
            let evidence = incident(seed, &Plan { cause: None, roles, topology: true, violated: true });
            let answer = diagnosed(&evidence);
            assert_eq!(answer.verdict, Verdict::Inconclusive, "seed {seed}\n{}", shown(&evidence, &answer));
        }
    }
}

#[test]
fn without_a_violation_there_is_no_incident() {
    for seed in 0..SEEDS {
        let evidence = incident(seed, &Plan { cause: None, roles: true, topology: true, violated: false });
        let answer = diagnosed(&evidence);
        assert_eq!(answer.verdict, Verdict::NoIncident, "seed {seed}\n{}", shown(&evidence, &answer));
        assert!(answer.hypotheses.is_empty());
    }
}

#[test]
fn every_signal_is_exactly_one_row() {
    for seed in 0..SEEDS {
        let evidence =
            incident(seed, &Plan { cause: Some("h"), roles: true, topology: true, violated: true });
        let mut signals: Vec<_> = evidence
            .rows
            .iter()
            .filter_map(|r| Some((r.entity().to_owned(), r.signal()?.to_owned())))
            .collect();
        assert_eq!(signals.len(), 30);
        signals.sort();
        signals.dedup();
        assert_eq!(signals.len(), 30);
    }
}
