//! A verdict on anyone's rate limiter.
//!
//! A [`Plan`] is a value: phases with fresh keys, made from [`Settings`]. [`run`] plays it against
//! any [`Target`](ratelimiter_target::Target) and records every check; [`judge`] turns the records
//! into a [`Verdict`], which follows from the callers' records alone. The reports print it for
//! people and for programs.
//!
//! ```text
//!   Settings --> Plan --> run(Target) --> Recorded --> judge --> Verdict --> screen, verdict.json, junit.xml
//!                              \-> history.jsonl, which `check` judges again
//! ```
//!
//! Deliberately absent: a terminal interface, a diagnosis, and any knowledge of how a limiter
//! counts.
#![doc = include_str!("../README.md")]

mod fault;
mod history;
mod honesty;
mod judge;
mod plan;
mod report;
mod run;
mod wire;

pub use fault::Band;
pub use history::{HistoryFileError, read_history, write_history};
pub use judge::{Finding, Judged, Status, Verdict, judge, judge_history};
pub use plan::{Depth, Phase, Plan, PlanError, Settings, Skipped, Step};
pub use report::{journal, junit, page, table, timelines};
pub use run::{Play, Recorded, RunError, run};
