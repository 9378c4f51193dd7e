use std::time::Duration;

use demo_core::{Stage, Tone};
use demo_ratelimiter::evidence::STORE;
use ratelimiter_api::{NodeSample, Observation};
use ratelimiter_invariants::RoundReading;

/// Time between two notes on a node: one per round would flicker.
const EVERY: Duration = Duration::from_secs(1);

/// Shows once a second the latency of the nodes and the store, and whether the store takes writes.
#[derive(Debug, Default)]
pub(super) struct RoundNotes {
    next: Duration,
}

impl RoundNotes {
    pub(super) fn note(&mut self, stage: &Stage, observation: &Observation) {
        if observation.at < self.next {
            return;
        }
        self.next = observation.at + EVERY;
        for node in &observation.nodes {
            let (tone, text) = node
                .sample
                .as_ref()
                .map_or((Tone::Bad, "no answer".into()), of_node);
            stage.note(node.node.as_str(), tone, text);
        }
        let (tone, text) = of_store(observation);
        stage.note(STORE, tone, text);
    }
}

fn of_node(sample: &NodeSample) -> (Tone, String) {
    let unsynced: u64 = sample.keys.values().map(|key| key.unsynced).sum();
    // Short enough for the space beside the name. A few are always in flight.
    match unsynced {
        0..10 => (Tone::Plain, format!("{:.1} ms", ms(sample.latency))),
        _ => (Tone::Warning, format!("{unsynced} unsynced")),
    }
}

fn of_store(observation: &Observation) -> (Tone, String) {
    let Some(store) = &observation.store else {
        return (Tone::Bad, "no answer".into());
    };
    match RoundReading::new(observation).takes_writes() {
        Some(false) => (Tone::Bad, "no writes".into()),
        Some(true) | None => (Tone::Plain, format!("{:.1} ms", ms(store.latency))),
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
