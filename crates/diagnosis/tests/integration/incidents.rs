//! Incidents of a small system: the right cause first, and none where there is none.

use crate::support::{
    diagnosed, shown,
    system::{Fault, evidence, run},
};
use diagnosis::{
    ActionAttempt, ActionParams, AttemptResult, Conclusion, HypothesisStatus, Mechanism,
};

#[test]
fn every_seed_names_the_injected_fault_first() {
    for seed in 0..10 {
        let turn = seed as usize;
        for fault in [
            Fault::Nothing,
            Fault::HighLoad,
            Fault::NoChanges(10.0),
            Fault::NoChanges(60.0),
            Fault::Surge([20, 100, 400][turn % 3]),
            Fault::WorkerKilled(turn % 3),
            Fault::WorkerRestarted(turn % 3),
            Fault::BaseKilled,
            Fault::BaseSlowed([120.0, 300.0][turn % 2]),
            Fault::LinkCut(turn % 3),
            Fault::PoolSet(100.0),
        ] {
            let evidence = evidence(run(seed, fault, 20.0, 40.0)).expect("evidence");
            let answer = diagnosed(&evidence);
            let named = answer.cause().map(|h| (h.entity.as_str(), h.mechanism));
            let told = || format!("seed {seed}, {fault:?}\n{}", shown(&evidence, &answer));
            assert_eq!(named, fault.truth(), "{}", told());
            if named.is_none() {
                assert_eq!(answer.verdict, Conclusion::NoIncident, "{}", told());
                assert!(answer.hypotheses.is_empty() && answer.action.is_none());
            }
        }
    }
}

#[test]
fn refusing_base_is_told_in_full() {
    let mut evidence = evidence(run(3, Fault::NoChanges(30.0), 20.0, 30.0)).expect("evidence");
    let answer = diagnosed(&evidence);
    let told = shown(&evidence, &answer);
    let cause = answer.cause().expect("a cause");
    assert!(
        cause.confidence >= 0.75 && !cause.chain.is_empty(),
        "{told}"
    );
    // the dependants are considered and refuted by the base's own row, idle load by its steady row
    let mut others = answer.hypotheses.iter().skip(1);
    assert!(
        others
            .clone()
            .all(|h| h.status == HypothesisStatus::Refuted),
        "{told}"
    );
    assert!(others.any(|h| h.mechanism == Mechanism::LoadOutranPropagation));
    let action = answer.action.as_ref().expect("an action");
    assert_eq!(action.id, "release");
    assert!(
        action
            .predict
            .iter()
            .any(|p| p.signal == "age of last change")
    );

    // an action that failed is not recommended again
    evidence.history.push(ActionAttempt {
        action: "release".into(),
        params: ActionParams::new(),
        outcome: AttemptResult::Failed,
    });
    let answer = diagnosed(&evidence);
    assert!(answer.cause().is_some() && answer.action.is_none());
    let mut unknowns = answer.unknowns.iter();
    assert!(unknowns.any(|u| u.contains("none is left in the catalogue")));
}
