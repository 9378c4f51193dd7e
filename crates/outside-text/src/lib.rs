//! Text from outside the program: read within a bound, shown without control characters.
//!
//! - **[`escape`]**: for anything that is written; line breaks and tabs stay.
//! - **[`clean_line`]** and **[`clean_text`]**: for a place of one line, and for a drawing.
//! - **[`read_line`]** and **[`read_file`]**: a line of a file or a process, and a whole file, up
//!   to a bound.
#![doc = include_str!("../README.md")]

mod bounded;
mod clean;

pub use bounded::{LONGEST_LINE, line_too_long, read_file, read_line};
pub use clean::{clean_line, clean_text, escape};
