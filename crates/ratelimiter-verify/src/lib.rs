//! A verdict on anyone's rate limiter.
//!
//! A [`Plan`] is a value: phases with fresh keys, made from [`PlanSettings`]. [`run`] plays it
//! against any [`Target`](ratelimiter_target::Target) and records every check; a [`RunJudge`] turns
//! the records into a [`RunVerdict`], which follows from the callers' records alone. The reports
//! print it for people and for programs.
//!
//! ```text
//!   PlanSettings --> Plan --> run(Target) --> StepRecord --> RunJudge --> RunVerdict
//!                                               |                             |
//!                              history.jsonl <--+                             +--> screen,
//!                    (`check` judges it again)                    verdict.json, junit.xml
//! ```
//!
//! Records that people hold already are judged likewise: [`read_records`] makes histories of access
//! logs, results of load tests and traces.
//!
//! Deliberately absent: a terminal interface, a diagnosis, and any knowledge of how a limiter
//! counts.
#![doc = include_str!("../README.md")]

mod fault;
mod finding;
mod honesty;
mod hypothesis;
mod judge;
mod phase;
mod plan;
mod records;
mod report;
mod resolution;
mod run;
mod torture;
mod verdict;
mod what_if;

pub use fault::{FaultBand, FaultEffect, FaultPart};
pub use finding::{FindingKind, RunFinding};
pub use hypothesis::DefectHypothesis;
pub use judge::RunJudge;
pub use phase::Phase;
pub use plan::{Plan, PlanDepth, PlanError, PlanSettings, PlanStep, SkippedPhase};
pub use records::{
    FormatPreset, PRESETS, RecordError, RecordFormat, RecordSettings, Records, StatusOutcomes,
    read_history, read_records, write_history,
};
pub use report::{
    RunFacts, VERSION, hypothesis, journal, junit, page, platform, scorecard_page,
    scorecard_summary, summary, table, timelines,
};
pub use resolution::Resolution;
pub use run::{RunError, StepError, StepRecord, run};
pub use torture::{
    Cell, CellChange, CellFigure, CellProperty, CellVerdict, FaultTrial, OutagePolicy,
    SCORECARD_VERSION, Scorecard, StoreCount, TimeBand, TrialJudge, TrialRecord,
};
pub use verdict::{KeyJudgement, RunStatus, RunVerdict};
pub use what_if::{BusiestKey, KeyHit, NotPlayed, WhatIf, what_if};
