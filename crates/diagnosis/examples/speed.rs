//! How long the offline analyser takes: `cargo run --release -p diagnosis --example speed`.
//!
//! Bundles of growing size, three hundred samples a signal, from the samples to the checked answer,
//! a number of times each.

use std::time::{Duration, Instant};

use diagnosis::{BrokenInvariant, Entity, EvidenceBuilder, SignalRole, SignalSeries, offline};

fn main() {
    println!(
        "{:>8} {:>8} {:>22} {:>22}",
        "entities", "signals", "build, median / max", "diagnose, median / max"
    );
    for (entities, signals, runs) in [
        (4, 3, 100),
        (10, 3, 100),
        (30, 3, 100),
        (100, 3, 100),
        (1_000, 5, 10),
    ] {
        let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
        for seed in 0..runs {
            let builder = incident(seed, entities, signals);
            let started = Instant::now();
            let Ok(evidence) = builder.build(Duration::from_secs(30)) else {
                return;
            };
            times[0].push(started.elapsed());
            let started = Instant::now();
            let answer = offline::diagnose(&evidence);
            times[1].push(started.elapsed());
            assert!(!answer.hypotheses.is_empty(), "{:?}", answer.unknowns);
        }
        let [build, diagnose] = times.map(|mut t| {
            t.sort_unstable();
            format!(
                "{:.2} / {:.2} ms",
                t[runs / 2].as_secs_f64() * 1e3,
                t[runs - 1].as_secs_f64() * 1e3
            )
        });
        println!(
            "{entities:>8} {:>8} {build:>22} {diagnose:>22}",
            entities * signals
        );
    }
}

/// A chain of services in threes, each calling three of the next row; one at the far end goes slow.
fn incident(seed: usize, entities: usize, signals: usize) -> EvidenceBuilder {
    let mut builder = EvidenceBuilder::new("speed");
    let mut noise = seed as u64 + 1;
    let mut random = move || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        (noise % 1_000) as f64 / 1_000.0
    };
    for i in 0..entities {
        builder = builder.entity(Entity::new(format!("e{i}"), "service"));
    }
    for i in 0..entities {
        for to in (i + 1..entities).take(3) {
            builder = builder.edge(format!("e{i}"), format!("e{to}"), "calls");
        }
        let all = [
            ("time", SignalRole::Latency),
            ("errors", SignalRole::Errors),
            ("work", SignalRole::Throughput),
            ("busy", SignalRole::Utilisation),
            ("waiting", SignalRole::Backlog),
        ];
        for (name, role) in all.into_iter().take(signals) {
            let mut series = SignalSeries::new(format!("e{i}"), name, "", role);
            for tick in 0..300_u32 {
                let t = f64::from(tick) * 0.2;
                let late = role == SignalRole::Latency && t > 25.0 + (entities - i) as f64 * 0.01;
                let value = 10.0 + random() + if late { 50.0 } else { 0.0 };
                series.push(Duration::from_secs_f64(t), Some(value));
            }
            builder = builder.signal(series);
        }
    }
    builder.violation(BrokenInvariant::new(
        "e0",
        "answers in time",
        Duration::from_secs(30),
        60.0,
        20.0,
    ))
}
