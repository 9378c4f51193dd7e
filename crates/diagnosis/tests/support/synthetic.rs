//! Ten entities with three signals each, one of which goes wrong: constants, gaps, heavy tails and units from
//! nanoseconds to terabytes.

use std::time::Duration;

use diagnosis::{Entity, Evidence, EvidenceBuilder, Role, SignalSeries, Violation};

use super::rng::Rng;

/// ```text
///   front ──▶ a, b, c      a ──▶ d, e      b ──▶ e, f      c ──▶ g      d, e, f, g ──▶ h      (lone)
/// ```
pub(crate) const EDGES: [(&str, &str); 12] = [
    ("front", "a"),
    ("front", "b"),
    ("front", "c"),
    ("a", "d"),
    ("a", "e"),
    ("b", "e"),
    ("b", "f"),
    ("c", "g"),
    ("d", "h"),
    ("e", "h"),
    ("f", "h"),
    ("g", "h"),
];
pub(crate) const ENTITIES: [&str; 10] = ["front", "a", "b", "c", "d", "e", "f", "g", "h", "lone"];
const BROKEN_AT: f64 = 30.0;
const NOTICED_AT: f64 = 33.0;
const END: f64 = 60.0;

/// How a signal behaves before anything happens.
#[derive(Clone, Copy)]
enum Noise {
    Constant,
    Gaussian,
    Heavy,
    Counts,
    Wandering,
}

/// One run: which entity is at fault, or none, and whether the signals' roles are declared.
pub(crate) struct Plan<'a> {
    pub(crate) cause: Option<&'a str>,
    pub(crate) roles: bool,
    pub(crate) topology: bool,
    pub(crate) violated: bool,
}

pub(crate) fn incident(seed: u64, plan: &Plan<'_>) -> Evidence {
    let mut rng = Rng::new(seed);
    let mut builder = EvidenceBuilder::new(format!("synthetic {seed}"));
    for id in ENTITIES {
        builder = builder.entity(Entity::new(id, "service"));
    }
    if plan.topology {
        for (from, to) in EDGES {
            builder = builder.edge(from, to, "calls");
        }
    } else {
        for id in &ENTITIES[1..] {
            builder = builder.edge("front", *id, "may call");
        }
    }
    for id in ENTITIES {
        let distance = plan.cause.and_then(|cause| distance(id, cause));
        let hit = rng.below(2);
        for (i, role) in [Role::Latency, Role::Errors, Role::Utilisation].into_iter().enumerate() {
            let noise = [Noise::Constant, Noise::Gaussian, Noise::Heavy, Noise::Counts, Noise::Wandering]
                [rng.below(5)];
            // the cause moves in one or two signals, what depends on it in one, later and less
            let moves = distance
                .is_some_and(|d| i == hit || (d == 0 && i == (hit + 1) % 3 && seed.is_multiple_of(2)));
            let onset = BROKEN_AT + distance.unwrap_or(0) as f64 * rng.between(0.5, 0.9);
            let size = 12.0 / (1.0 + distance.unwrap_or(0) as f64);
            let role = if plan.roles { role } else { Role::Other };
            let series = signal(&mut rng, (id, i, role), noise, moves.then_some((onset, size)));
            builder = builder.signal(series);
        }
    }
    if plan.violated {
        let at = Duration::from_secs_f64(NOTICED_AT);
        builder = builder.violation(Violation::new("front", "answers in time", at, 5.0, 1.0));
    }
    builder.build(Duration::from_secs_f64(NOTICED_AT)).expect("evidence")
}

fn signal(
    rng: &mut Rng,
    (id, i, role): (&str, usize, Role),
    noise: Noise,
    moves: Option<(f64, f64)>,
) -> SignalSeries {
    let unit = 10_f64.powi(rng.below(18) as i32 - 9);
    let mut series = SignalSeries::new(id, format!("signal {i}"), ["ns", "B", "", "%"][rng.below(4)], role);
    let level = rng.between(5.0, 20.0);
    let gap = (rng.below(3) == 0).then(|| rng.between(2.0, 50.0));
    let (mut wander, mut t) = (0.0, 0.2 * rng.unit());
    while t < END {
        wander = 0.8 * wander + 0.6 * rng.normal();
        let mut value = match noise {
            Noise::Constant => level,
            Noise::Gaussian => level + rng.normal(),
            Noise::Heavy => level * rng.lognormal(1.0, 0.3),
            Noise::Counts => f64::from(rng.poisson(level)),
            Noise::Wandering => level + wander,
        };
        let spread = match noise {
            Noise::Constant => 1.0,
            Noise::Heavy => 0.4 * level,
            Noise::Counts => 1.35 * level.sqrt(),
            Noise::Gaussian | Noise::Wandering => 1.35,
        };
        if let Some((onset, size)) = moves
            && t >= onset
        {
            value += size * spread;
        }
        let missing = gap.is_some_and(|g| t >= g && t < g + 1.5) || rng.unit() < 0.02;
        series.push(Duration::from_secs_f64(t), (!missing).then_some(value * unit));
        t += 0.2 + rng.between(-0.02, 0.02);
    }
    series
}

/// How many dependencies lie between an entity and what it depends on.
fn distance(from: &str, to: &str) -> Option<usize> {
    if from == to {
        return Some(0);
    }
    EDGES.iter().filter(|(f, _)| *f == from).filter_map(|(_, next)| distance(next, to)).min().map(|d| d + 1)
}
