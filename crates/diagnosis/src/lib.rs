//! From evidence to cause: ranks hypotheses about an incident from signals, topology and violations
//! alone.
//!
//! This crate is made for no particular system. A system's owner declares its entities,
//! their dependencies, the part each signal plays ([`SignalRole`]), and the actions there are;
//! names, units and values are opaque.
//!
//! [`EvidenceBuilder`] makes a bundle of that, [`offline::analyse`] ranks hypotheses about it, and
//! [`validate`] checks any answer, of either engine, before [`text::render`] shows it. With the
//! feature `llm`, off by default, a language model can be asked as well.

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;

mod clean;
mod evidence;
mod figure;
mod graph;
#[cfg(feature = "llm")]
pub mod llm;
pub mod offline;
mod result;
pub mod text;
mod validate;

pub use clean::capped as clean_text;
pub use evidence::{
    ActionAttempt, ActionParam, ActionParams, ActionRisk, AttemptResult, BaselineLevels,
    BrokenInvariant, BuildError, Change, ChangeShape, Direction, EVIDENCE_SCHEMA, Entity, Evidence,
    EvidenceBuilder, EvidenceFact, EvidenceId, EvidenceRow, IncidentLevels, IncidentSpans,
    OperatorAction, PROPAGATION, ParamDomain, SignalGap, SignalRole, SignalSeries, SteadySignal,
    TimeSpan, Topology, TopologyEdge,
};
pub use result::{
    AnswerCost, AnswerEngine, ChainStep, Conclusion, Diagnosis, EngineKind, Fallback, Hypothesis,
    HypothesisStatus, Mechanism, PredictedEffect, Prediction, RESULT_SCHEMA, Remedy,
};
pub use validate::{Rejection, RuleBreach, Validated, validate};
