//! Incidents of a small system: the right cause first, and none where there is none.

mod support;

use diagnosis::{Conclusion, HypothesisStatus, Mechanism};
use support::{
    diagnosed, shown,
    system::{Fault, evidence, run},
};

const SEEDS: u64 = 10;

/// Every seed has to name the injected fault's entity and mechanism first.
fn named_in_every_seed(fault: impl Fn(u64) -> Fault) {
    for seed in 0..SEEDS {
        let fault = fault(seed);
        let (entity, mechanism) = fault.truth().expect("a fault");
        let evidence = evidence(run(seed, fault, 20.0, 40.0)).expect("evidence");
        let answer = diagnosed(&evidence);
        let named = answer.cause().map(|h| (h.entity.as_str(), h.mechanism));
        assert_eq!(
            named,
            Some((entity, mechanism)),
            "seed {seed}, {fault:?}\n{}",
            shown(&evidence, &answer)
        );
    }
}

fn nothing_in_any_seed(fault: Fault) {
    for seed in 0..3 * SEEDS {
        let evidence = evidence(run(seed, fault, 20.0, 40.0)).expect("evidence");
        let answer = diagnosed(&evidence);
        assert_eq!(
            answer.verdict,
            Conclusion::NoIncident,
            "seed {seed}\n{}",
            shown(&evidence, &answer)
        );
        assert!(answer.hypotheses.is_empty() && answer.action.is_none());
    }
}

#[test]
fn base_refuses_changes_while_reads_pass() {
    named_in_every_seed(|_| Fault::NoChanges(10.0));
    named_in_every_seed(|_| Fault::NoChanges(60.0));
}

#[test]
fn a_surge_faster_than_state_propagates() {
    named_in_every_seed(|seed| Fault::Surge([20, 100, 400][seed as usize % 3]));
}

#[test]
fn a_worker_killed() {
    named_in_every_seed(|seed| Fault::WorkerKilled(seed as usize % 3));
}

#[test]
fn a_worker_restarted() {
    named_in_every_seed(|seed| Fault::WorkerRestarted(seed as usize % 3));
}

#[test]
fn the_base_killed() {
    named_in_every_seed(|_| Fault::BaseKilled);
}

#[test]
fn the_base_slowed() {
    named_in_every_seed(|seed| Fault::BaseSlowed([120.0, 300.0][seed as usize % 2]));
}

#[test]
fn one_workers_link_to_the_base_cut() {
    named_in_every_seed(|seed| Fault::LinkCut(seed as usize % 3));
}

#[test]
fn a_setting_changed_in_the_middle() {
    named_in_every_seed(|_| Fault::PoolSet(100.0));
}

#[test]
fn load_that_is_high_but_served() {
    nothing_in_any_seed(Fault::HighLoad);
}

#[test]
fn nothing_at_all() {
    nothing_in_any_seed(Fault::Nothing);
}

#[test]
fn refusing_base_is_told_in_full() {
    let evidence = evidence(run(3, Fault::NoChanges(30.0), 20.0, 30.0)).expect("evidence");
    let answer = diagnosed(&evidence);
    let cause = answer.cause().expect("a cause");
    assert!(cause.confidence >= 0.75, "{}", shown(&evidence, &answer));
    assert!(!cause.chain.is_empty());
    // the dependants are considered and refuted by the base's own row, idle load by its steady row
    assert!(
        answer
            .hypotheses
            .iter()
            .skip(1)
            .all(|h| h.status == HypothesisStatus::Refuted),
        "{}",
        shown(&evidence, &answer)
    );
    assert!(
        answer
            .hypotheses
            .iter()
            .any(|h| h.mechanism == Mechanism::LoadOutranPropagation)
    );
    let action = answer.action.as_ref().expect("an action");
    assert_eq!(action.id, "release");
    assert!(
        action
            .predict
            .iter()
            .any(|p| p.signal == "age of last change")
    );
}

#[test]
fn an_action_that_failed_is_not_recommended_again() {
    let run = run(3, Fault::NoChanges(30.0), 20.0, 30.0);
    let at = run.at;
    let mut builder = support::system::described("again").attempt(diagnosis::ActionAttempt {
        action: "release".into(),
        params: diagnosis::ActionParams::new(),
        outcome: diagnosis::AttemptResult::Failed,
    });
    for s in run.signals {
        builder = builder.signal(s);
    }
    for v in run.violations {
        builder = builder.violation(v);
    }
    let answer = diagnosed(&builder.build(at).expect("evidence"));
    assert!(answer.cause().is_some());
    assert!(answer.action.is_none());
    assert!(
        answer
            .unknowns
            .iter()
            .any(|u| u.contains("none is left in the catalogue")),
        "{:?}",
        answer.unknowns
    );
}
