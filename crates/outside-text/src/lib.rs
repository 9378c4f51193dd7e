//! Text from outside the program: read within a bound, shown without control characters.
//!
//! - **[`escape`]**: for anything that is written; line breaks and tabs stay.
//! - **[`clean_line`]** and **[`clean_text`]**: for a place of one line, and for a drawing.
//! - **[`read_line`]**: a line from a file or a process, up to a bound.
#![doc = include_str!("../README.md")]

mod clean;
mod line;

pub use clean::{clean_line, clean_text, escape};
pub use line::{LONGEST_LINE, line_too_long, read_line};
