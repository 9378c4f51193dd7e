//! An exhaustive check of the protocol: every order of events of a small system, on the code that
//! nodes run.
//!
//! Three nodes share a limit of four. A step is one event: time advances, a node asks, admits,
//! gives back, gives up or crashes and restarts, or a message arrives. Messages stay on the wire
//! once they are sent, so that each may arrive never, late, in any order, and again. Every node's
//! clock runs slow, true or fast, as its rate was drawn at the start. The store may lose the
//! ledger, its clock may step, and the limit may be lowered to two.
//!
//! In every state that can be reached, with `W` and `D` of two units of time each:
//!
//! - the admissions in the window sum to at most the charges that the store counts for it, and so
//!   to at most the limit;
//! - those since the acknowledgement of a lowered limit sum to at most this limit;
//! - a node's stamp of an admission lies between the giving of its grant and the present.
//!
//! The bounds are the events that a run may hold: units of time, requests, crashes. States are told
//! apart by 64-bit fingerprints, equal for states that differ by the names of nodes only.
//!
//! ```sh
//! # the bounds of the gate, then four requests
//! cargo test --release -p ratelimiter-lease model -- --nocapture
//! LEASE_MODEL=full cargo test --release -p ratelimiter-lease model -- --nocapture
//! ```

mod bounds;
mod event;
mod mutant;
mod search;
mod world;

use std::time::Instant;

use bounds::ModelBounds;
use mutant::ProtocolMutant;
use search::{SearchReport, search};

fn report(name: &str, bounds: ModelBounds, mutant: Option<ProtocolMutant>) -> SearchReport {
    let started = Instant::now();
    let found = search(bounds, mutant);
    let (states, steps) = (found.states, found.steps);
    println!(
        "{name}: {states} states, {steps} steps, {:.1} s, {bounds:?}",
        started.elapsed().as_secs_f64()
    );
    if let Some((broken, trace)) = &found.violation {
        println!("  {broken:?}");
        trace.iter().for_each(|action| println!("    {action:?}"));
    }
    found
}

#[test]
fn no_order_of_events_admits_too_many() {
    let full = std::env::var("LEASE_MODEL").is_ok_and(|words| words == "full");
    let all = if full {
        ModelBounds::FULL
    } else {
        ModelBounds::GATE
    };
    for bounds in all {
        let found = report("protocol", *bounds, None);
        assert!(found.violation.is_none(), "{:?}", found.violation);
    }
}

#[test]
fn every_broken_protocol_is_caught() {
    for mutant in ProtocolMutant::ALL {
        let caught = ModelBounds::GATE.iter().any(|bounds| {
            report(&format!("{mutant:?}"), *bounds, Some(*mutant))
                .violation
                .is_some()
        });
        assert!(caught, "{mutant:?} was not caught");
    }
}
