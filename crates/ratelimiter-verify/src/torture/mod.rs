//! Every fault against every property of a system.

mod scorecard;

pub use scorecard::{
    Cell, CellChange, CellFigure, CellProperty, CellVerdict, FaultTrial, SCORECARD_VERSION,
    Scorecard, StoreCount, TimeBand,
};
