//! The cluster as evidence for a diagnosis: its parts as a newcomer's manual describes them, their
//! dependencies, the signals measured of each, and the actions of an operator. A diagnosis that
//! knows nothing of rate limiting works from this alone.
//!
//! - **[`Recorder`]**: keeps the last minutes of observations as signals.
//! - **[`Moment`]**: the stretch of them that an incident is about.
//!
//! No fault is named, and the injected one is never part of it.
//!
//! ```rust
//! use std::time::Duration;
//! use demo_ratelimiter::evidence::{Client, Moment, Recorder};
//! # use ratelimiter_api::Observation;
//! # let observations: Vec<Observation> = Vec::new();
//! # let violations: Vec<ratelimiter_invariants::Violation> = Vec::new();
//!
//! let mut recorder = Recorder::new();
//! for observation in &observations {
//!     let client = Client { at: observation.at, sent: 10, denied: 0 };
//!     recorder.observe(observation, Some(client));
//! }
//! let second = Duration::from_secs;
//! let moment = Moment { since: second(0), at: second(20), until: second(30) };
//! let evidence = recorder.evidence("an afternoon in May", moment, &violations)?;
//! let answer = diagnosis::offline::diagnose(&evidence);
//! println!("{}", diagnosis::text::render(&evidence, &answer).join("\n"));
//! # Ok::<(), diagnosis::BuildError>(())
//! ```

mod actions;
mod quantity;
mod recorder;
mod topology;
mod violations;

pub use recorder::{Client, Moment, Recorder};
pub use topology::{CLIENTS, STORE, key_entity};
