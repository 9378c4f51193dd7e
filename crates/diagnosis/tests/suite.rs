//! The suite in small: the example `suite` prints the full tables, of as many seeds as one likes.

#[path = "../examples/suite/baseline.rs"]
mod baseline;
#[path = "../examples/suite/fault.rs"]
mod fault;
#[path = "../examples/suite/graph.rs"]
mod graph;
#[path = "../examples/suite/kind.rs"]
mod kind;
#[path = "../examples/suite/rng.rs"]
mod rng;
#[path = "../examples/suite/scenario.rs"]
mod scenario;
#[path = "../examples/suite/signals.rs"]
mod signals;
#[path = "../examples/suite/table.rs"]
mod table;

use diagnosis::{Conclusion, offline};
use scenario::{Scenario, runs};
use table::{Judged, accuracy, reliability, silence};

/// Seeds of each kind. In so few, a share may lie a few per cent off.
const SEEDS: std::ops::Range<u64> = 9_001..9_004;

fn judged() -> Vec<Judged> {
    runs(SEEDS)
        .map(|(seed, setting)| {
            let scenario = Scenario::new(seed, setting);
            let evidence = scenario.evidence();
            let candidates = offline::analyse(&evidence);
            if candidates.verdict == Conclusion::Inconclusive {
                let printed = candidates.hypotheses.iter().map(|h| h.confidence);
                assert!(printed.is_sorted_by(|a, b| a >= b), "{candidates:#?}");
            }
            let answer = offline::diagnose(&evidence);
            assert!(
                !answer.unknowns.iter().any(|u| u.contains("did not pass")),
                "{setting:?}: {:?}",
                answer.unknowns
            );
            Judged::new(&scenario, &answer)
        })
        .collect()
}

fn share(judged: &[Judged], of: impl Fn(&Judged) -> bool, is: impl Fn(&Judged) -> bool) -> f64 {
    let runs: Vec<&Judged> = judged.iter().filter(|j| of(j)).collect();
    runs.iter().filter(|j| is(j)).count() as f64 / runs.len() as f64
}

#[test]
fn right_entities_come_first_and_silence_is_kept() {
    let judged = judged();
    let tables = format!(
        "{}\n{}\n{}",
        accuracy(&judged),
        silence(&judged),
        reliability(&judged)
    );
    for (topology, least) in [(true, 0.75), (false, 0.6)] {
        let of = |j: &Judged| j.setting.kind.is_some() && j.setting.topology == topology;
        let ours = share(&judged, of, Judged::is_right);
        assert!(ours >= least, "{tables}");
        for (i, (name, _)) in baseline::SCORERS.iter().enumerate() {
            assert!(
                share(&judged, of, |j| j.scorers[i]) < ours,
                "{name}\n{tables}"
            );
        }
    }
    let named = share(&judged, |j| j.setting.kind.is_none(), |j| !j.is_right());
    assert!(named <= 0.08, "{tables}");
}

#[test]
fn without_a_violation_there_is_no_incident() {
    for (seed, setting) in runs(SEEDS).take(40) {
        let mut evidence = Scenario::new(seed, setting).evidence();
        evidence.rows.retain(|row| row.signal().is_some());
        let answer = offline::diagnose(&evidence);
        assert_eq!(answer.verdict, Conclusion::NoIncident);
        assert!(answer.hypotheses.is_empty());
    }
}
