//! Every fault against every property of a system: the record of a fault, its judgement, and the
//! scorecard of all of them.

mod judge;
mod scorecard;

pub use judge::{TrialJudge, TrialRecord};
pub use scorecard::{
    Cell, CellChange, CellFigure, CellProperty, CellVerdict, FaultTrial, OutagePolicy,
    SCORECARD_VERSION, Scorecard, StoreCount, TimeBand,
};
