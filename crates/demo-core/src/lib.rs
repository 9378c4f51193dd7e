//! A narrated chaos story: chapters, a state machine that plays them, and the events it emits.
//!
//! - **[`Chapter`]**: title, narration, what happens when it is entered, and whether it may be left before that is done.
//! - **[`Machine`]**: the pure state machine. [`Input`]s go in, [`Command`]s come out; no clock, no task, no terminal.
//! - **[`DemoRunner`]**: the shell around it. Runs the chapters' callbacks and a [`HealthPoller`], and emits
//!   [`Stamped`] [`Event`]s, which front-ends consume.
//! - **[`Stage`]**: what a chapter's callback holds: it speaks, measures and marks through it, and learns from it that
//!   it should stop.
//! - **[`ChaosConfig`]**: what a fault may be, with its bounds.
//! - **[`Transcript`]**: events as lines of text, for front-ends without a screen.
//!
//! The crate knows no rate limiter, no terminal, no store and no HTTP: any system that can be broken on purpose can
//! be its subject.
#![doc = include_str!("../README.md")]

mod chaos;
mod chapter;
mod event;
mod health;
mod machine;
mod outcome;
mod runner;
mod stage;
mod transcript;

pub use chaos::{ChaosConfig, ChaosConfigError, ChaosType, MAX_MULTIPLIER, MAX_PAUSE};
pub use chapter::{Chapter, ChapterInfo, ChapterResult};
pub use event::{
    ChartSpec, Event, Finding, FindingState, Mark, MarkEdge, Measurement, SeriesRole, SeriesSpec, Severity,
    Stamped, Status, Tone,
};
pub use health::{Dependency, HealthPoller, HealthSnapshot, NodeHealth, NodeState};
pub use machine::{Command, Input, Machine, Pace, Refusal};
pub use outcome::Outcome;
pub use runner::DemoRunner;
pub use stage::Stage;
pub use transcript::Transcript;
