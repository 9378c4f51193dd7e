//! Each rule, broken once.

use crate::support::system::{Fault, evidence, run};
use diagnosis::{
    ActionAttempt, ActionParams, AttemptResult, ChainStep, Conclusion, Diagnosis, Evidence,
    EvidenceId, HypothesisStatus, Mechanism, PredictedEffect, Prediction, Rejection, offline,
    validate,
};
use serde_json::json;

fn incident() -> (Evidence, Diagnosis) {
    let evidence = evidence(run(3, Fault::NoChanges(30.0), 20.0, 30.0)).expect("evidence");
    let answer = offline::analyse(&evidence);
    assert_eq!(answer.verdict, Conclusion::CauseFound);
    (evidence, answer)
}

/// The rules that refuse the answer once it is changed like that.
fn broken(change: impl FnOnce(&Evidence, &mut Diagnosis)) -> Vec<u8> {
    let (evidence, mut answer) = incident();
    change(&evidence, &mut answer);
    match validate(&evidence, answer) {
        Ok(_) => Vec::new(),
        Err(Rejection { breaches }) => breaches.iter().map(|b| b.rule).collect(),
    }
}

fn steady_of(evidence: &Evidence, entity: &str) -> EvidenceId {
    let row = evidence
        .rows
        .iter()
        .find(|r| r.entity() == entity && matches!(r.fact, diagnosis::EvidenceFact::Steady(_)));
    row.expect("a steady row").id
}

#[test]
fn an_answer_left_alone_passes() {
    assert!(broken(|_, _| {}).is_empty());
}

#[test]
fn rule_1_numbers_stay_in_their_ranges() {
    assert_eq!(broken(|_, d| d.hypotheses[0].confidence = 7.0), [1]);
    assert_eq!(broken(|_, d| d.hypotheses[0].confidence = f64::NAN), [1]);
    assert_eq!(broken(|_, d| d.hypotheses[0].confidence = -0.1), [1]);
    assert_eq!(broken(|_, d| d.hypotheses[1].rank = 1), [1]);
    assert_eq!(
        broken(|_, d| d.hypotheses[1].id = d.hypotheses[0].id.clone()),
        [1]
    );
    assert_eq!(
        broken(|_, d| d.hypotheses[0].chain[0].lag_s = f64::INFINITY),
        [1]
    );
    assert_eq!(broken(|_, d| d.unknowns = vec!["?".into(); 1_000]), [1]);
}

#[test]
fn rule_1_the_verdict_fits_the_hypotheses() {
    assert!(broken(|_, d| d.verdict = Conclusion::NoIncident).contains(&1));
    assert!(broken(|_, d| d.verdict = Conclusion::Inconclusive).contains(&1));
    assert_eq!(
        broken(|_, d| d.hypotheses[0].status = HypothesisStatus::Open),
        [1]
    );
    assert_eq!(broken(|_, d| d.hypotheses.clear()), [1]);
}

#[test]
fn rule_2_what_is_named_exists() {
    assert_eq!(
        broken(|_, d| d.hypotheses[0].supports.push(EvidenceId(999))),
        [2]
    );
    assert_eq!(
        broken(|_, d| d.hypotheses[1].against.push(EvidenceId(0))),
        [2]
    );
    assert_eq!(broken(|_, d| d.hypotheses[1].entity = "nobody".into()), [2]);
    assert_eq!(
        broken(|_, d| d.hypotheses[0].statement.push_str(" [E999]")),
        [2]
    );
    assert_eq!(
        broken(|_, d| d
            .action
            .as_mut()
            .expect("an action")
            .why
            .push(EvidenceId(999))),
        [2]
    );
    let predicts = |entity: &str, signal: &str, expect| Prediction {
        entity: entity.into(),
        signal: signal.into(),
        expect,
        to: None,
    };
    let predict =
        |p: Prediction| broken(|_, d| d.action.as_mut().expect("an action").predict.push(p));
    assert_eq!(
        predict(predicts("base", "mood", PredictedEffect::Falls)),
        [2]
    );
    assert_eq!(
        predict(predicts("base", "answers", PredictedEffect::Clears)),
        [2]
    );
}

#[test]
fn rule_3_cause_cites_its_own_change() {
    // nothing of its own
    assert_eq!(
        broken(|_, d| d.hypotheses[0].supports.retain(|id| id.0 == 0)),
        [3]
    );
    // nothing but what stayed as it was
    assert_eq!(
        broken(|e, d| {
            d.hypotheses[0].statement = "the base stopped".into();
            d.hypotheses[0].supports = vec![steady_of(e, "base")];
        }),
        [3]
    );
    // a change, but of another part
    assert!(
        broken(|e, d| {
            let other = e
                .changes()
                .find(|(_, c)| c.entity == "w1")
                .expect("a change of w1")
                .0;
            d.hypotheses[0].statement = "the base stopped".into();
            d.hypotheses[0].supports = vec![other];
        })
        .contains(&3)
    );
}

#[test]
fn rule_4_refutation_cites_evidence() {
    assert_eq!(broken(|_, d| d.hypotheses[1].against.clear()), [4]);
    assert_eq!(broken(|_, d| d.hypotheses.truncate(1)), [4]);
    // the same hypothesis twice is no alternative
    assert_eq!(
        broken(|_, d| {
            d.hypotheses.truncate(2);
            d.hypotheses[1].entity = d.hypotheses[0].entity.clone();
            d.hypotheses[1].mechanism = d.hypotheses[0].mechanism;
        }),
        [4]
    );
}

#[test]
fn rule_5_chain_follows_topology_and_clock() {
    let chain = |links: &[(&str, &str, f64)]| -> Vec<ChainStep> {
        links
            .iter()
            .map(|(a, b, lag)| ChainStep {
                cause: (*a).into(),
                effect: (*b).into(),
                lag_s: *lag,
            })
            .collect()
    };
    assert!(broken(|_, d| d.hypotheses[0].chain = chain(&[("base", "w1", 0.0)])).is_empty());
    // a chain that begins elsewhere, or jumps
    assert!(broken(|_, d| d.hypotheses[0].chain = chain(&[("w1", "pool", 0.0)])).contains(&5));
    // no dependency leads from the base to what the base does not serve, nor back from a symptom to
    // its cause
    assert!(
        broken(|_, d| {
            d.hypotheses[1].entity = "w1".into();
            d.hypotheses[1].chain = chain(&[("w1", "base", 0.0)]);
        })
        .contains(&5)
    );
    // a lag no onset allows
    assert_eq!(
        broken(|_, d| d.hypotheses[0].chain = chain(&[("base", "w1", 500.0)])),
        [5]
    );
}

#[test]
fn rule_5_cause_precedes_its_effect() {
    let (mut evidence, answer) = incident();
    let cause = answer.cause().expect("a cause").entity.clone();
    for row in &mut evidence.rows {
        if let diagnosis::EvidenceFact::Change(c) = &mut row.fact
            && c.entity == cause
        {
            c.onset += std::time::Duration::from_secs(60);
        }
    }
    let rejection = validate(&evidence, answer).expect_err("a cause a minute late");
    assert!(
        rejection
            .breaches
            .iter()
            .any(|b| b.rule == 5 && b.what.contains("cannot be the cause")),
        "{rejection}"
    );
}

#[test]
fn rule_6_numbers_come_from_the_rows_cited() {
    assert_eq!(
        broken(|_, d| d.hypotheses[0].statement.push_str(", 4711 times")),
        [6]
    );
    assert_eq!(
        broken(|_, d| d.hypotheses[0].statement.push_str(", half of it ½")),
        [6]
    );
    assert_eq!(
        broken(|_, d| d.unknowns.push("why it took 99 s".into())),
        [6]
    );
    // a number that is in the evidence, but in no row cited
    assert_eq!(
        broken(|e, d| {
            let peak = e
                .changes()
                .find(|(_, c)| c.signal == "unsent")
                .expect("a backlog")
                .1
                .after
                .peak;
            d.unknowns
                .push(format!("why the backlog reached {peak} [E1]"));
        }),
        [6]
    );
    assert_eq!(
        broken(|_, d| {
            let predict = &mut d.action.as_mut().expect("an action").predict;
            predict
                .iter_mut()
                .find(|p| p.to.is_some())
                .expect("a level")
                .to = Some(777.0);
        }),
        [6]
    );
}

#[test]
fn rule_7_the_action_is_in_the_catalogue() {
    let action = |d: &mut Diagnosis, id: &str, params: serde_json::Value| {
        let action = d.action.as_mut().expect("an action");
        action.id = id.into();
        action.params = serde_json::from_value(params).expect("params");
    };
    assert_eq!(
        broken(|_, d| action(d, "reboot everything", json!({}))),
        [7]
    );
    assert_eq!(
        broken(|_, d| action(d, "resize", json!({"size": 1e9}))),
        [7]
    );
    assert_eq!(
        broken(|_, d| action(d, "resize", json!({"size": "5000"}))),
        [7]
    );
    assert_eq!(
        broken(|_, d| action(d, "resize", json!({"force": true}))),
        [7]
    );
    assert_eq!(
        broken(|_, d| action(d, "start", json!({"which": "w9"}))),
        [7]
    );
    assert!(broken(|_, d| action(d, "resize", json!({"size": 10}))).is_empty());
    assert!(broken(|_, d| action(d, "resize", json!({}))).is_empty());
}

#[test]
fn rule_7_what_failed_is_not_tried_again() {
    let (mut evidence, answer) = incident();
    evidence.history.push(ActionAttempt {
        action: "release".into(),
        params: ActionParams::new(),
        outcome: AttemptResult::Failed,
    });
    let rejection = validate(&evidence, answer.clone()).expect_err("tried already");
    assert_eq!(rejection.breaches[0].rule, 7);
    evidence.history[0].outcome = AttemptResult::Helped;
    assert!(validate(&evidence, answer).is_ok());
}

#[test]
fn rule_8_confidence_is_capped_by_the_evidence() {
    let confidence = |change: &dyn Fn(&mut Evidence, &mut Diagnosis)| {
        let (mut evidence, mut answer) = incident();
        answer.hypotheses[0].confidence = 0.99;
        change(&mut evidence, &mut answer);
        validate(&evidence, answer).expect("an answer").hypotheses[0].confidence
    };
    assert_eq!(confidence(&|_, _| {}), 0.99);
    assert_eq!(confidence(&|_, d| d.hypotheses[1].confidence = 0.5), 0.6);
    let no_path = |e: &mut Evidence, d: &mut Diagnosis| {
        e.topology.edges.clear();
        for row in &mut e.rows {
            if let diagnosis::EvidenceFact::Violation(v) = &mut row.fact {
                v.entity = "pool".into();
            }
        }
        d.hypotheses.truncate(2);
        d.hypotheses[0].chain.clear();
        d.action = None;
    };
    assert_eq!(confidence(&no_path), 0.5);
    let gap = |e: &mut Evidence, _: &mut Diagnosis| {
        e.rows.push(diagnosis::EvidenceRow {
            id: EvidenceId(900),
            fact: diagnosis::EvidenceFact::Gap(diagnosis::SignalGap {
                entity: "base".into(),
                signal: "mood".into(),
                role: diagnosis::SignalRole::Other,
                from: std::time::Duration::ZERO,
                to: std::time::Duration::ZERO,
                why: "never sampled".into(),
            }),
        });
    };
    assert_eq!(confidence(&gap), 0.7);
}

#[test]
fn rule_9_strings_are_cleaned_and_capped() {
    let (evidence, mut answer) = incident();
    answer.hypotheses[0].statement =
        format!("\u{1b}[2Jstopped\u{7}\u{202e} {}", "x".repeat(10_000));
    answer.unknowns.push("\u{1b}]0;owned\u{7}title".into());
    let checked = validate(&evidence, answer).expect("an answer");
    let statement = &checked.hypotheses[0].statement;
    assert!(
        statement.starts_with("stopped x") && statement.chars().count() <= 600,
        "{statement:?}"
    );
    assert!(checked.unknowns.iter().any(|u| u == "title"));
    let json = serde_json::to_string(&checked).expect("json");
    assert!(!json.contains("\\u001b") && !json.contains('\u{202e}'));
}

#[test]
fn a_rejection_says_what_to_repair() {
    let (evidence, mut answer) = incident();
    answer.hypotheses[0].supports.push(EvidenceId(77));
    answer.hypotheses[0].confidence = 2.0;
    let told = validate(&evidence, answer)
        .expect_err("two breaches")
        .to_string();
    assert_eq!(
        told,
        "rule 1: hypothesis H1 has confidence 2: it is between 0 and 1; rule 2: hypothesis H1 \
         cites E77, which does not exist"
    );
}

#[test]
fn no_incident_needs_a_run_without_violation() {
    let evidence = evidence(run(3, Fault::Nothing, 20.0, 30.0)).expect("evidence");
    let mut answer = offline::analyse(&evidence);
    assert!(validate(&evidence, answer.clone()).is_ok());
    answer.verdict = Conclusion::CauseFound;
    assert!(validate(&evidence, answer).is_err());
}

#[test]
fn every_mechanism_has_a_title_of_its_own() {
    let mut titles: Vec<_> = Mechanism::ALL.iter().map(Mechanism::to_string).collect();
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles.len(), Mechanism::ALL.len());
}
