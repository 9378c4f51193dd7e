//! Records that people hold already, as histories: access logs, results of load tests, traces.
//!
//! ```text
//!   file ── lines ── line ── csv, json, template ── fields ── row ── check ── history of its key
//!           gzip            (the general formats)             interval, outcome, key, cost
//!
//!   presets      formats of programs, as texts of general ones
//!   log_format   nginx's and Apache's own, translated
//!   format       text -> reader                detect       first lines -> preset
//! ```
//!
//! A record says less than a history does. It may lack the checks that got no answer: then an
//! excess is proved all the same, and denials are not judged. Its times may be coarse: a time is
//! taken as anywhere within the unit of its last digit.

mod csv;
mod detect;
mod error;
mod field;
mod format;
mod histories;
mod history_line;
mod json;
mod lines;
mod log_format;
mod outcome;
mod presets;
mod reader;
mod row;
mod template;
mod time;
mod words;

pub use error::RecordError;
pub use format::RecordFormat;
pub use history_line::{read_history, write_history};
pub use outcome::StatusOutcomes;
pub use presets::{FormatPreset, PRESETS};
pub use reader::{RecordSettings, Records, read_records};
