//! What is shown, line by line.

use crate::support::system::{Fault, evidence, run};
use diagnosis::{
    BrokenInvariant, Entity, EvidenceBuilder, Mechanism, SignalRole, SignalSeries, offline, text,
};
use std::time::Duration;

fn at(lines: &[String], start: &str) -> usize {
    lines
        .iter()
        .position(|l| l.starts_with(start))
        .unwrap_or_else(|| panic!("no line {start:?} in {lines:#?}"))
}

#[test]
fn the_first_page_is_a_sentence_and_reasons() {
    let evidence = evidence(run(3, Fault::NoChanges(30.0), 20.0, 30.0)).expect("evidence");
    let lines = text::summary(&evidence, &offline::diagnose(&evidence));
    let sentence = &lines[0];
    assert!(
        sentence.starts_with("The base stopped accepting changes at 20"),
        "{sentence}"
    );
    assert!(
        sentence.contains(" s while its ") && sentence.contains(" stayed at "),
        "{sentence}"
    );
    assert!(
        sentence.contains("; confidence 0.8") && sentence.ends_with("(high)"),
        "{sentence}"
    );
    let order = ["not the cause:", "to do: ", "  then ", "by the "].map(|s| at(&lines, s));
    assert!(order.is_sorted(), "{lines:#?}");
    for reason in &lines[order[0] + 1..order[1]] {
        assert!(
            reason.contains(": its ")
                || reason.contains("'s ")
                || reason.contains("does not explain"),
            "{reason}"
        );
    }
    assert_eq!(
        lines[order[1]],
        "to do: let the base take changes again; reversible, low risk"
    );
    assert!(
        lines[order[2]].contains("base age of last change falls to 0.0"),
        "{}",
        lines[order[2]]
    );
    assert!(
        lines[order[3]].starts_with("by the offline analyser in "),
        "{}",
        lines[order[3]]
    );
    assert!(!lines.iter().any(|l| l.contains("[E")), "{lines:#?}");
}

#[test]
fn the_second_page_has_before_and_after() {
    let evidence = evidence(run(3, Fault::NoChanges(30.0), 20.0, 30.0)).expect("evidence");
    let answer = offline::diagnose(&evidence);
    let lines = text::details(&evidence, &answer);
    assert_eq!(lines[0], "evidence:");
    let change = &lines[3];
    assert!(
        change.starts_with("  [E") && change.contains(" → ") && change.contains("onset "),
        "{change}"
    );
    assert!(at(&lines, "it spread: base → ") > 3);
    let whole = text::render(&evidence, &answer);
    assert_eq!(
        whole.len(),
        lines.len() + text::summary(&evidence, &answer).len()
    );
}

#[test]
fn reversibility_comes_from_the_catalogue() {
    let evidence = evidence(run(3, Fault::PoolSet(100.0), 20.0, 30.0)).expect("evidence");
    let lines = text::render(&evidence, &offline::diagnose(&evidence));
    assert_eq!(
        lines[at(&lines, "to do: ")],
        "to do: set the pool's size (size 5000); cannot be undone, high risk"
    );
}

#[test]
fn subject_names_carry_no_control_characters() {
    let evil = "base\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}";
    let mut series = SignalSeries::new(
        evil,
        "age\r\n\u{9b}31m of it",
        "s\u{7}",
        SignalRole::ProgressAge,
    );
    for tick in 0..150_u32 {
        let t = f64::from(tick) * 0.2;
        series.push(Duration::from_secs_f64(t), Some(0.1 + (t - 20.0).max(0.0)));
    }
    let built = EvidenceBuilder::new("x\u{1b}[31m")
        .entity(Entity::new(evil, "kind\u{8}").describes("d\u{1b}[5m"))
        .entity(Entity::new("front", "x"))
        .edge("front", evil, "\u{1b}c")
        .signal(series)
        .violation(BrokenInvariant::new(
            "front",
            "in\u{0}variant",
            Duration::from_secs(22),
            2.0,
            1.0,
        ))
        .build(Duration::from_secs(22))
        .expect("evidence");
    let answer = offline::diagnose(&built);
    assert_eq!(
        answer.cause().expect("a cause").mechanism,
        Mechanism::StoppedAcceptingChanges
    );
    let lines = text::render(&built, &answer);
    assert!(
        lines.iter().all(|l| !l.chars().any(char::is_control)),
        "{lines:#?}"
    );
    assert!(lines[0].contains("ase"), "{}", lines[0]);
    let json = serde_json::to_string(&built).expect("json");
    assert!(
        !json.contains("\\u00") && !json.contains('\u{202e}'),
        "{json}"
    );
}

#[test]
fn prompt_bundle_keeps_its_budget() {
    let evidence = evidence(run(3, Fault::NoChanges(30.0), 20.0, 30.0)).expect("evidence");
    let tokens = |evidence| {
        serde_json::to_string(evidence)
            .expect("json")
            .chars()
            .count()
            / 3
    };
    assert!(tokens(&evidence) < 3_000, "{} tokens", tokens(&evidence));
    let short = evidence.within(1_500);
    assert!(tokens(&short) <= 1_500, "{} tokens", tokens(&short));
    assert_eq!(short.rows.len() + short.omitted, evidence.rows.len());
    assert_eq!(short.violations().count(), evidence.violations().count());
    assert_eq!(short.changes().count(), evidence.changes().count());
    assert_eq!(evidence.within(3_000), evidence);
}

/// What moves anyway has no "before" to be shown, only where it was going: a projection is not
/// called a measurement.
#[test]
fn projection_is_not_shown_as_measured() {
    let evidence = evidence(run(3, Fault::WorkerRestarted(1), 20.0, 30.0)).expect("evidence");
    let lines = text::render(&evidence, &offline::diagnose(&evidence));
    let uptime = lines
        .iter()
        .find(|l| l.contains("w2 uptime: "))
        .expect("the row");
    assert!(
        uptime.contains(" s instead of ") && !uptime.contains('→'),
        "{uptime}"
    );
    assert!(
        lines[0].contains("uptime dipped to ") && lines[0].contains(" instead of "),
        "{}",
        lines[0]
    );
    let total = text::row(
        evidence
            .rows
            .iter()
            .find(|r| r.signal() == Some("own total"))
            .expect("a total"),
    );
    assert!(!total.contains('→'), "{total}");
}
