//! A narrated chaos story: chapters, a state machine that plays them, and the events it emits.
//!
//! - **[`Chapter`]**: title, narration, a callback that runs on entry, and whether the chapter
//!   waits for it.
//! - **[`StoryMachine`]**: the pure state machine. [`StoryInput`]s go in, [`StoryCommand`]s come
//!   out; no clock, no task, no terminal.
//! - **[`DemoRunner`]**: the shell around it. Runs the chapters' callbacks and a [`HealthPoller`],
//!   and emits [`TimedEvent`] [`Event`]s, which front-ends consume.
//! - **[`Stage`]**: a callback's access to the story: it emits sentences, measurements and marks,
//!   and receives cancellation.
//! - **[`Log`]**: recorded events, to play a story again without its subject.
//! - **[`Transcript`]**: events as lines of text, for front-ends without a screen.
//!
//! The crate contains no rate limiter, no terminal, no store and no HTTP: any system that can be
//! broken on purpose can be its subject.
#![doc = include_str!("../README.md")]

mod chapter;
mod event;
mod health;
mod intervals;
mod log;
mod machine;
mod route;
mod runner;
mod stage;
mod story_end;
mod table;
mod transcript;

pub use chapter::{Chapter, ChapterInfo, ChapterResult};
pub use event::{
    ChartKind, ChartSpec, Event, Finding, FindingState, LogVersion, Mark, MarkEdge, Measurement,
    SeriesRole, SeriesSpec, Severity, StatusLine, TimedEvent, Tone,
};
pub use health::{Dependency, HealthPoller, HealthSnapshot, NoHealth, Reachability, SubjectNode};
pub use intervals::{IntervalRow, Intervals};
pub use log::{Log, LogError};
pub use machine::{InputRefusal, StoryCommand, StoryInput, StoryMachine, StoryPace};
pub use route::StartError;
pub use runner::DemoRunner;
pub use stage::Stage;
pub use story_end::StoryEnd;
pub use table::{Table, TableRow};
pub use transcript::Transcript;
