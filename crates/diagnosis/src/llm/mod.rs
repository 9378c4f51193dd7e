//! A language model as a second opinion. Its answer is treated as hostile input.
//!
//! The model gets the same evidence as the offline analyser and its answer passes the same
//! validator. While it answers, nothing of it is shown: a caller gets the progress
//! ([`AnswerProgress`]), and the checked answer in the end. An answer that is refused gets one
//! repair turn; then, or when the deadline passes, or when anything goes wrong on the way, the
//! offline answer stands, with the name of the model and the reason.
//!
//! Dropping the future of [`LlmEngine::diagnose`] closes the connection at once.

mod config;
mod engine;
mod exchange;
mod failure;
mod key;
mod prompt;
mod reply;

pub use config::{LlmConfig, LlmError};
pub use engine::{AnswerProgress, LlmEngine, ModelAnswer};
pub use key::ApiKey;
