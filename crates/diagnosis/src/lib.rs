//! From evidence to cause: ranks hypotheses about an incident from signals, topology and violations
//! alone.
//!
//! Nothing in this crate knows the system it looks at. The system's owner declares its entities,
//! their dependencies, the part each signal plays ([`Role`]), and the actions there are; names,
//! units and values are opaque.
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
    Action, After, Attempt, Before, BuildError, Change, Direction, Domain, EVIDENCE_SCHEMA, Edge,
    Entity, Evidence, EvidenceBuilder, Fact, Gap, Outcome, PROPAGATION, Param, Params, Risk, Role,
    Row, RowId, Shape, SignalSeries, Span, Spans, Steady, Topology, Violation,
};
pub use result::{
    Cost, Diagnosis, Engine, EngineKind, Expect, Fallback, Hypothesis, Link, Mechanism, Prediction,
    RESULT_SCHEMA, Remedy, Status, Verdict, confidence_word,
};
pub use validate::{Breach, Rejection, Validated, validate};
