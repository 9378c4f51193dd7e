//! The terminal front-end for any [`demo_core`] story: chapters, narration, cluster, charts with
//! the faults pinned on their time axis, violations, and texts that come piece by piece.
//!
//! - **[`Tui`]**: takes the terminal, shows a story until it has ended and the user leaves, gives
//!   the terminal back on every path. [`ScreenOptions`] configure it, and [`ScreenResult`] is its
//!   result.
//! - **[`termination`]**: the signals, as a future for [`Tui::run`].
//!   A [`Log`](demo_core::Log) is played with [`Tui::replay`].
//! - **[`Film`]**: pictures, a moving picture and an asciicast of a log.
//! - **[`Offscreen`]**: the same screen without a terminal or a clock, for tests.
//! - **[`svg()`]**: a picture of a screen.
//!
//! Inside: events and keys become actions, a synchronous update turns them into
//! commands, and the view draws the state without a lock or a clock. Everything that touches the
//! terminal is in `screen`, and `run` is the loop around it all.
//!
//! The crate contains no rate limiter and no particular subject: every word and number on the
//! screen came in an event.
#![doc = include_str!("../README.md")]

mod ascii;
mod bindings;
mod environment;
mod error;
mod film;
mod layout;
mod model;
mod offscreen;
mod options;
mod panel;
mod playback;
mod run;
mod screen;
mod signals;
mod source;
mod state;
mod svg;
mod theme;
mod update;
mod view;

pub use bindings::KeyEffect;
pub use error::TuiError;
pub use film::{Film, FilmStill};
pub use offscreen::Offscreen;
pub use options::{Background, Charset, ColorChoice, ScreenOptions};
pub use ratatui::layout::Size;
pub use run::{ScreenResult, Tui};
pub use signals::termination;
pub use svg::svg;
