//! A verdict for people and for programs.

mod junit;
mod screen;

pub use junit::junit;
pub use screen::{table, timelines};
