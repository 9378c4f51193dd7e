//! Neither names, nor units, nor the order of arrival may matter.

use std::{collections::BTreeMap, time::Duration};

use crate::support::{
    diagnosed,
    rng::Rng,
    system::{Fault, Run, described, evidence, run},
};
use diagnosis::{
    Conclusion, Diagnosis, Direction, Entity, EvidenceBuilder, Mechanism, SignalRole, SignalSeries,
    offline,
};
use proptest::prelude::*;

/// What a person would call the answer.
fn answer(diagnosis: &Diagnosis) -> (Conclusion, Option<(String, Mechanism, u64)>) {
    let cause = diagnosis.cause().map(|h| {
        (
            h.entity.clone(),
            h.mechanism,
            (h.confidence * 100.0).round() as u64,
        )
    });
    (diagnosis.verdict, cause)
}

/// Every candidate, in order.
fn ranking(diagnosis: &Diagnosis) -> Vec<(String, Mechanism)> {
    diagnosis
        .hypotheses
        .iter()
        .map(|h| (h.entity.clone(), h.mechanism))
        .collect()
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Nothing),
        Just(Fault::NoChanges(8.0)),
        Just(Fault::Surge(200)),
        (0..3_usize).prop_map(Fault::WorkerKilled),
        (0..3_usize).prop_map(Fault::WorkerRestarted),
        Just(Fault::BaseKilled),
        Just(Fault::BaseSlowed(200.0)),
        (0..3_usize).prop_map(Fault::LinkCut),
        Just(Fault::PoolSet(50.0)),
    ]
}

/// The run with every name replaced; a name is letters and digits, or digits alone.
fn renamed(run: Run, seed: u64) -> (diagnosis::Evidence, BTreeMap<String, String>) {
    let mut rng = Rng::new(seed);
    let mut names = BTreeMap::new();
    let mut taken = Vec::new();
    let mut fresh = move |old: &str| {
        names
            .entry(old.to_owned())
            .or_insert_with(|| {
                loop {
                    let name = match rng.below(3) {
                        0 => format!("{}", rng.bits() % 1_000_000),
                        1 => format!("E{}", rng.bits() % 100),
                        _ => format!("x{:x} {:x}", rng.bits(), rng.bits() % 99),
                    };
                    if !taken.contains(&name) {
                        taken.push(name.clone());
                        break name;
                    }
                }
            })
            .clone()
    };
    let declared = described("x")
        .build(run.at)
        .expect("the declarations")
        .topology;
    let mut back = BTreeMap::new();
    let mut builder = EvidenceBuilder::new(fresh("a run"));
    for entity in declared.entities {
        let id = fresh(&entity.id);
        back.insert(id.clone(), entity.id);
        builder = builder.entity(Entity {
            id,
            kind: fresh(&entity.kind),
            label: fresh(&entity.label),
            describes: fresh(&entity.describes),
            propagation: entity.propagation,
        });
    }
    for edge in declared.edges {
        builder = builder.edge(fresh(&edge.from), fresh(&edge.to), fresh(&edge.rel));
    }
    for mut series in run.signals {
        series.entity = fresh(&series.entity);
        series.name = fresh(&series.name);
        series.unit = fresh(&series.unit);
        builder = builder.signal(series);
    }
    for mut violation in run.violations {
        violation.entity = fresh(&violation.entity);
        violation.invariant = fresh(&violation.invariant);
        builder = builder.violation(violation);
    }
    (builder.build(run.at).expect("evidence"), back)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn names_do_not_matter(seed in 0..1_000_u64, fault in faults(), naming in any::<u64>()) {
        let plain = offline::diagnose(&evidence(run(seed, fault, 15.0, 25.0)).expect("evidence"));
        let (opaque, back) = renamed(run(seed, fault, 15.0, 25.0), naming);
        let mut other = Diagnosis::clone(&diagnosed(&opaque));
        for h in &mut other.hypotheses {
            h.entity = back[&h.entity].clone();
        }
        prop_assert_eq!(answer(&plain), answer(&other));
    }

    #[test]
    fn units_do_not_matter(
        seed in 0..1_000_u64,
        fault in faults(),
        which in any::<prop::sample::Index>(),
        factor in prop_oneof![Just(1e3), Just(1e-3), Just(1024.0), Just(0.454)],
    ) {
        let plain = offline::diagnose(&evidence(run(seed, fault, 15.0, 25.0)).expect("evidence"));
        let mut scaled = run(seed, fault, 15.0, 25.0);
        let signal = which.get_mut(&mut scaled.signals[..]);
        for (_, value) in &mut signal.points {
            *value = value.map(|v| v * factor);
        }
        let other = offline::diagnose(&evidence(scaled).expect("evidence"));
        prop_assert_eq!(answer(&plain), answer(&other));
        prop_assert_eq!(ranking(&plain), ranking(&other));
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(
        seed in 0..1_000_u64,
        fault in faults(),
        shuffle in any::<u64>(),
    ) {
        let plain = evidence(run(seed, fault, 15.0, 25.0)).expect("evidence");
        let mut mixed = run(seed, fault, 15.0, 25.0);
        let mut rng = Rng::new(shuffle);
        rng.shuffle(&mut mixed.signals);
        rng.shuffle(&mut mixed.violations);
        for series in &mut mixed.signals {
            rng.shuffle(&mut series.points);
        }
        let mixed = evidence(mixed).expect("evidence");
        prop_assert_eq!(&plain, &mixed);
        prop_assert_eq!(offline::analyse(&plain), offline::analyse(&mixed));
    }

    #[test]
    fn the_origin_of_a_share_does_not_matter(
        seed in any::<u64>(),
        usual in 0.0..5.0,
        level in 0.0..60.0,
        from in 10.0..25.0,
    ) {
        let read = |role, value: &dyn Fn(f64) -> f64| {
            let mut rng = Rng::new(seed);
            let mut series = SignalSeries::new("a", "share", "%", role);
            for tick in 0..150 {
                let t = f64::from(tick) * 0.2;
                // in sixteenths, so that nothing is lost by counting from the other end
                let failing: f64 = usual * rng.unit() + if t >= from { level } else { 0.0 };
                let value = value((failing * 16.0).round() / 16.0);
                series.push(Duration::from_secs_f64(t), Some(value));
            }
            let at = Duration::from_secs(20);
            let builder = EvidenceBuilder::new("x").entity(Entity::new("a", ""));
            builder.signal(series).build(at).expect("evidence")
        };
        let failing = read(SignalRole::Errors, &|share| share);
        let passing = read(SignalRole::Availability, &|share| 100.0 - share);
        let seen = |evidence: &diagnosis::Evidence| {
            let change = evidence.changes().next();
            change.map(|(_, c)| (c.shape, c.onset, c.onset_err, c.direction == Direction::Up))
        };
        let mirrored = seen(&passing).map(|(shape, onset, error, up)| (shape, onset, error, !up));
        prop_assert_eq!(seen(&failing), mirrored);
    }

    #[test]
    fn evidence_survives_json(seed in 0..1_000_u64, fault in faults()) {
        let evidence = evidence(run(seed, fault, 15.0, 25.0)).expect("evidence");
        let json = serde_json::to_string(&evidence).expect("json");
        let back: diagnosis::Evidence = serde_json::from_str(&json).expect("the same back");
        prop_assert_eq!(&back, &evidence);
        prop_assert_eq!(offline::analyse(&back), offline::analyse(&evidence));
    }
}
