//! One incident for each mechanism, drawn with a ruler: what suggests it, and what tells it from
//! its neighbours.

use std::time::Duration;

use crate::support::{diagnosed, rng::Rng, shown};
use diagnosis::{
    BrokenInvariant, BuildError, Conclusion, Entity, Evidence, EvidenceBuilder, EvidenceFact,
    HypothesisStatus, Mechanism, SignalRole, SignalSeries,
};

const AT: f64 = 20.0;

/// A signal of forty seconds with a little noise.
fn signal(entity: &str, name: &str, role: SignalRole, value: impl Fn(f64) -> f64) -> SignalSeries {
    let mut rng = Rng::new(name.len() as u64 * 31 + entity.len() as u64);
    let mut series = SignalSeries::new(entity, name, "u", role);
    for tick in 0..200 {
        let t = f64::from(tick) * 0.2;
        let v = value(t);
        series.push(
            Duration::from_secs_f64(t),
            Some(v + 0.02 * v * rng.normal()),
        );
    }
    series
}

fn step(before: f64, after: f64) -> impl Fn(f64) -> f64 {
    move |t| if t < AT { before } else { after }
}

fn ramp(before: f64, per_second: f64) -> impl Fn(f64) -> f64 {
    move |t| before + (t - AT).max(0.0) * per_second
}

fn reads() -> SignalSeries {
    signal("base", "read time", SignalRole::Latency, |_| 2.0)
}

/// An age at the base that grows by so much a second.
fn age(name: &str, growth: f64) -> SignalSeries {
    signal("base", name, SignalRole::ProgressAge, ramp(0.1, growth))
}

/// A backlog that grows by so much a second.
fn unsent(entity: &str, growth: f64) -> SignalSeries {
    signal(entity, "unsent", SignalRole::Backlog, ramp(3.0, growth))
}

fn slower(entity: &str) -> SignalSeries {
    let (before, after) = if entity == "base" {
        (2.0, 80.0)
    } else {
        (5.0, 90.0)
    };
    signal(
        entity,
        "answer time",
        SignalRole::Latency,
        step(before, after),
    )
}

fn broken(entity: &str, at: u64) -> BrokenInvariant {
    BrokenInvariant::new(entity, "holds", Duration::from_secs(at), 9.0, 1.0)
}

/// `front` calls `left` and `right`, which share `base`. The front is broken at 23 s.
fn system(signals: impl IntoIterator<Item = SignalSeries>) -> Evidence {
    let mut builder = EvidenceBuilder::new("drawn")
        .entity(Entity::new("front", "gateway"))
        .entity(Entity::new("left", "service"))
        .entity(Entity::new("right", "service"))
        .entity(Entity::new("base", "database"))
        .edge("front", "left", "calls")
        .edge("front", "right", "calls")
        .edge("left", "base", "writes to")
        .edge("right", "base", "writes to")
        .violation(broken("front", 23));
    for s in signals {
        builder = builder.signal(s);
    }
    builder.build(Duration::from_secs(23)).expect("evidence")
}

/// A source calls two services that decide from copies of a pool, which breaks at `at`.
fn deciders(interval: u64, at: u64) -> EvidenceBuilder {
    let interval = Duration::from_millis(interval);
    let mut builder = EvidenceBuilder::new("load")
        .entity(Entity::new("source", "load"))
        .entity(Entity::new("pool", "resource"))
        .violation(broken("pool", at));
    for id in ["left", "right"] {
        builder = builder
            .entity(Entity::new(id, "service").propagates_every(interval))
            .edge("source", id, "calls")
            .edge("pool", id, "is shared out by");
    }
    builder
}

fn is_named(evidence: &Evidence, entity: &str, mechanism: Mechanism) {
    let answer = diagnosed(evidence);
    let named = answer.cause().map(|h| (h.entity.as_str(), h.mechanism));
    assert_eq!(
        named,
        Some((entity, mechanism)),
        "{}",
        shown(evidence, &answer)
    );
}

fn is_not_named(evidence: &Evidence, mechanism: Mechanism) {
    let answer = diagnosed(evidence);
    let named = answer.cause().map(|h| h.mechanism);
    assert_ne!(named, Some(mechanism), "{}", shown(evidence, &answer));
}

#[test]
fn strain_after_more_load_is_the_loads() {
    let evidence = system([
        signal("front", "calls", SignalRole::Demand, step(100.0, 900.0)),
        signal("base", "busy", SignalRole::Utilisation, step(0.3, 0.99)),
        slower("base"),
        slower("left"),
        slower("right"),
    ]);
    is_named(&evidence, "front", Mechanism::MoreLoad);
}

#[test]
fn strain_without_load_is_a_slowdown() {
    let calls = signal("front", "calls", SignalRole::Demand, |_| 100.0);
    let evidence = system([calls, slower("base"), slower("left"), slower("right")]);
    is_named(&evidence, "base", Mechanism::SlowedDown);
}

#[test]
fn refusing_and_lost_dependencies_are_told_apart() {
    for (after, mechanism) in [
        (1.0, Mechanism::StoppedAcceptingChanges),
        (0.0, Mechanism::StoppedAnswering),
    ] {
        let evidence = system([
            signal("base", "alive", SignalRole::Availability, step(1.0, after)),
            reads(),
            age("since the last change", 1.0),
            unsent("left", 40.0),
            unsent("right", 40.0),
        ]);
        is_named(&evidence, "base", mechanism);
    }
}

#[test]
fn changes_held_but_unconfirmed_mean_lost_confirmations() {
    for (held, mechanism) in [
        (40.0, Mechanism::ConfirmationsLost),
        (0.0, Mechanism::StoppedAcceptingChanges),
    ] {
        let evidence = system([
            reads(),
            signal(
                "base",
                "held unconfirmed",
                SignalRole::Unconfirmed,
                ramp(1.0, held),
            ),
            age("since the last change", 1.0),
            unsent("left", 40.0),
            unsent("right", 40.0),
        ]);
        is_named(&evidence, "base", mechanism);
    }
}

#[test]
fn changes_that_take_forever_count_as_not_accepted() {
    let writes = signal(
        "base",
        "write time",
        SignalRole::ChangeLatency,
        step(3.0, 900.0),
    );
    let evidence = system([reads(), writes, unsent("left", 40.0), unsent("right", 40.0)]);
    is_named(&evidence, "base", Mechanism::StoppedAcceptingChanges);
}

#[test]
fn one_stuck_of_two_lost_its_path() {
    let alive = signal("base", "alive", SignalRole::Availability, |_| 1.0);
    let evidence = system([reads(), alive, unsent("left", 40.0), unsent("right", 0.0)]);
    is_named(&evidence, "left", Mechanism::LostPath);
}

#[test]
fn ages_at_the_dependency_show_lost_paths() {
    for (right, entity, mechanism) in [
        (0.0, "left", Mechanism::LostPath),
        (1.0, "base", Mechanism::StoppedAcceptingChanges),
    ] {
        let evidence = system([
            reads(),
            age("since left wrote", 1.0),
            age("since right wrote", right),
            unsent("left", 40.0),
            unsent("right", 40.0 * right),
        ]);
        is_named(&evidence, entity, mechanism);
    }
}

#[test]
fn restart_shows_in_uptime_and_losses() {
    let evidence = system([
        signal("left", "alive", SignalRole::Availability, |_| 1.0),
        signal("left", "up since", SignalRole::Uptime, |t| {
            if t < AT { 500.0 + t } else { t - AT }
        }),
        signal("left", "held", SignalRole::Volume, step(4_000.0, 10.0)),
        signal("right", "held", SignalRole::Volume, |_| 4_000.0),
        signal("front", "failures", SignalRole::Errors, step(1.0, 60.0)),
    ]);
    is_named(&evidence, "left", Mechanism::Restarted);
}

#[test]
fn only_an_earlier_setting_is_a_cause() {
    let with_setting_at = |when: f64| {
        let size = move |t: f64| if t < when { 50.0 } else { 5.0 };
        let pool = signal("base", "pool size", SignalRole::Setting, size);
        system([pool, slower("left"), slower("right")])
    };
    let early = with_setting_at(AT - 0.5);
    is_named(&early, "base", Mechanism::ConfigurationChanged);
    is_not_named(&with_setting_at(30.0), Mechanism::ConfigurationChanged);
}

#[test]
fn load_outruns_propagation_only_when_it_is_faster() {
    let rising_over = |seconds: f64| {
        let load = move |t: f64| 20.0 + 2_000.0 * ((t - AT) / seconds).clamp(0.0, 1.0);
        let half = move |t: f64| load(t) / 2.0;
        deciders(500, 21)
            .signal(signal("source", "calls", SignalRole::Demand, load))
            .signal(signal("left", "taken", SignalRole::Throughput, half))
            .signal(signal("right", "taken", SignalRole::Throughput, half))
            .build(Duration::from_secs(21))
            .expect("evidence")
    };
    is_named(
        &rising_over(0.2),
        "source",
        Mechanism::LoadOutranPropagation,
    );
    is_not_named(&rising_over(15.0), Mechanism::LoadOutranPropagation);
}

#[test]
fn surge_over_before_the_stall_is_no_cause() {
    let surge = |t: f64| {
        if (18.9..19.1).contains(&t) {
            240.0
        } else {
            80.0
        }
    };
    let evidence = deciders(200, 22)
        .entity(Entity::new("base", "database"))
        .edge("left", "base", "writes to")
        .edge("right", "base", "writes to")
        .signal(signal("source", "calls", SignalRole::Demand, surge))
        .signal(reads())
        .signal(age("since the last change", 1.0))
        .signal(unsent("left", 40.0))
        .signal(unsent("right", 40.0))
        .build(Duration::from_secs(22))
        .expect("evidence");
    is_named(&evidence, "base", Mechanism::StoppedAcceptingChanges);
}

#[test]
fn one_outlier_does_not_shorten_a_change() {
    let outlier = |t: f64| match t {
        t if t < AT => 2.0,
        t if (24.9..25.1).contains(&t) => 900.0,
        _ => 80.0,
    };
    let evidence = system([
        signal("base", "answer time", SignalRole::Latency, outlier),
        signal("front", "answer time", SignalRole::Latency, step(5.0, 90.0)),
    ]);
    is_named(&evidence, "base", Mechanism::SlowedDown);
}

#[test]
fn late_violation_keeps_a_sound_baseline() {
    let early = |t: f64| {
        if t < 12.0 {
            2.0
        } else {
            2.0 + 3.0 * (t - 12.0)
        }
    };
    let evidence = system([
        signal("base", "answer time", SignalRole::Latency, early),
        signal("front", "answer time", SignalRole::Latency, early),
    ]);
    is_named(&evidence, "base", Mechanism::SlowedDown);
}

#[test]
fn missing_samples_are_gaps_not_zeros() {
    let mut silent = signal("base", "answer time", SignalRole::Latency, |_| 2.0);
    for (t, value) in &mut silent.points {
        if t.as_secs_f64() > AT {
            *value = None;
        }
    }
    let mut broken = signal("left", "answer time", SignalRole::Latency, |_| 2.0);
    for (_, value) in &mut broken.points {
        *value = Some(f64::NAN);
    }
    let never = SignalSeries::new("right", "answer time", "u", SignalRole::Latency);
    let evidence = system([silent, broken, never]);
    let gaps = evidence
        .rows
        .iter()
        .filter(|r| matches!(r.fact, EvidenceFact::Gap(_)))
        .count();
    assert_eq!((gaps, evidence.changes().count()), (3, 0));
    let answer = diagnosed(&evidence);
    assert_eq!(answer.verdict, Conclusion::Inconclusive);
    assert!(
        answer
            .unknowns
            .iter()
            .any(|u| u.contains("answer time of base")),
        "{:?}",
        answer.unknowns
    );
}

#[test]
fn without_topology_causes_stay_candidates() {
    let evidence = EvidenceBuilder::new("islands")
        .entity(Entity::new("base", "x"))
        .entity(Entity::new("b", "x"))
        .signal(slower("base"))
        .violation(broken("b", 21))
        .build(Duration::from_secs(21))
        .expect("evidence");
    let answer = diagnosed(&evidence);
    let mut open = answer.hypotheses.iter();
    assert!(
        open.all(|h| h.confidence <= 0.5 && h.status != HypothesisStatus::Refuted),
        "{}",
        shown(&evidence, &answer)
    );
}

#[test]
fn declarations_that_do_not_fit_together_are_refused() {
    let one = || EvidenceBuilder::new("x").entity(Entity::new("a", "x"));
    let refused = |builder: EvidenceBuilder| builder.build(Duration::from_secs(1)).expect_err("x");
    let twice = |what, id: &str| BuildError::Duplicate {
        what,
        id: id.into(),
    };
    let unknown = BuildError::UnknownEntity {
        what: "an edge".into(),
        entity: "b".into(),
    };
    assert_eq!(refused(one().edge("a", "b", "")), unknown);
    let declared = one().entity(Entity::new("a", "y"));
    assert_eq!(refused(declared), twice("entity", "a"));
    let empty = one().entity(Entity::new("\u{1b}[31m", "y"));
    assert_eq!(refused(empty), BuildError::Empty { what: "entity" });
    let series = || SignalSeries::new("a", "s", "", SignalRole::Other);
    let signals = one().signal(series()).signal(series());
    assert_eq!(refused(signals), twice("signal", "a s"));
}
