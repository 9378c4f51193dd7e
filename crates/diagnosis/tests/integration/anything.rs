//! Whatever is put in, the analyser ends, and its answer passes the validator.

use std::time::Duration;

use crate::support::{diagnosed, rng::Rng};
use diagnosis::{
    BrokenInvariant, Conclusion, Entity, EvidenceBuilder, SignalRole, SignalSeries, text,
};

const ROLES: [SignalRole; 15] = [
    SignalRole::Demand,
    SignalRole::Throughput,
    SignalRole::Latency,
    SignalRole::ChangeLatency,
    SignalRole::ProgressAge,
    SignalRole::Backlog,
    SignalRole::Volume,
    SignalRole::Lost,
    SignalRole::Unconfirmed,
    SignalRole::Availability,
    SignalRole::Uptime,
    SignalRole::Utilisation,
    SignalRole::Errors,
    SignalRole::Setting,
    SignalRole::Other,
];

/// Values nobody would measure, and some that everybody does.
fn value(rng: &mut Rng, kind: usize, t: f64, onset: f64) -> Option<f64> {
    let late = f64::from(u8::from(t >= onset));
    Some(match kind {
        0 => 1.0 - late,
        1 => 5.0 + rng.normal() + 80.0 * late,
        2 => t + 1e-3 * rng.normal() - late * onset,
        3 => 1e300 * (1.0 + late),
        4 => -1e-300 * late,
        5 => 0.1 + late * (t - onset),
        6 => rng.poisson(0.3) * 1e9,
        7 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3.0][rng.below(4)],
        8 => return (rng.below(3) == 0).then_some(2.0),
        9 => return (t < onset).then_some(7.0),
        10 => 4.0 + 400.0 * f64::from(u8::from((t - onset).abs() < 0.1)),
        _ => -50.0 * late,
    })
}

#[test]
fn any_evidence_gets_an_answer_that_passes() {
    let mut found = 0;
    for seed in 0..600 {
        let mut rng = Rng::new(seed);
        let n = 1 + rng.below(9);
        let mut builder = EvidenceBuilder::new("anything");
        for i in 0..n {
            let mut entity = Entity::new(
                format!("{}{i}", ["x", "", "E", "H"][rng.below(4)]),
                "1/s 42",
            );
            if rng.below(3) == 0 {
                entity = entity.propagates_every(Duration::from_millis(rng.bits() % 2_000));
            }
            builder = builder.entity(entity);
        }
        let ids: Vec<String> = builder
            .clone()
            .build(Duration::ZERO)
            .expect("entities")
            .topology
            .entities
            .into_iter()
            .map(|e| e.id)
            .collect();
        for _ in 0..rng.below(3 * n) {
            builder = builder.edge(&ids[rng.below(n)], &ids[rng.below(n)], "3 ways");
        }
        for i in 0..rng.below(4 * n) {
            let role = ROLES[rng.below(ROLES.len())];
            let mut series = SignalSeries::new(
                &ids[rng.below(n)],
                format!("p{i}"),
                ["", "1/s", "9"][rng.below(3)],
                role,
            );
            let (kind, onset, every) = (
                rng.below(12),
                rng.between(0.0, 40.0),
                rng.between(0.05, 3.0),
            );
            let mut t = 0.0;
            while t < 40.0 {
                series.push(Duration::from_secs_f64(t), value(&mut rng, kind, t, onset));
                t += every;
            }
            builder = builder.signal(series);
        }
        let at = rng.between(0.0, 45.0);
        for _ in 0..rng.below(3) {
            let t = Duration::from_secs_f64(at + rng.between(0.0, 2.0));
            builder = builder.violation(BrokenInvariant::new(
                &ids[rng.below(n)],
                "7 of 9",
                t,
                rng.normal(),
                1e-9,
            ));
        }
        let evidence = builder
            .build(Duration::from_secs_f64(at))
            .expect("evidence");
        let answer = diagnosed(&evidence);
        assert!(!text::render(&evidence, &answer).is_empty());
        found += usize::from(answer.verdict == Conclusion::CauseFound);
    }
    assert!(
        found > 50,
        "only {found} causes: the test does not reach what it is to test"
    );
}
