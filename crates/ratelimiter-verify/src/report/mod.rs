//! A verdict for people and for programs.

mod journal;
mod junit;
mod page;
mod screen;

pub use journal::journal;
pub use junit::junit;
pub use page::page;
pub use screen::{table, timelines};
