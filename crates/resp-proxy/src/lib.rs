//! A RESP-aware proxy that breaks a store's connection on purpose, command by command.
//!
//! Start with [`RespProxy`], which listens in front of a Redis or Valkey, and with [`Rule`], which
//! is one fault. A rule is in force while its [`RuleGuard`] lives, and reports its effects.
//!
//! ```text
//!   client --> Requests --> store      frames found, rules asked, expectations noted in order
//!   client <-- Replies  <-- store      reply k belongs to command k, which decided its fate
//! ```
//!
//! Pure parts without I/O: the frame scanner, the dialogue (which replies a command has), the queue
//! of expected replies, and the text form of rules. Deliberately absent: retries, caching, pooling
//! of connections, and any knowledge of the store's use.
#![doc = include_str!("../README.md")]
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod active;
mod advice;
mod class;
mod client;
mod command;
#[cfg(feature = "control")]
pub mod control;
mod counters;
mod dialogue;
mod display;
mod frame;
mod gate;
mod key;
mod latency;
mod listener;
mod notice;
mod occurrence;
mod own_wake;
#[cfg(feature = "program")]
pub mod program;
mod proxy;
mod queue;
mod replies;
mod requests;
mod rule;
mod rules;
mod seen;
mod server;
mod state;
mod subscriptions;
mod table;
mod text;
mod upstream;
mod window;

pub use active::RuleReport;
pub use class::CommandClass;
pub use client_tls::{Authorities, TlsError};
pub use counters::ProxyCounters;
pub use frame::{ElementCapture, FrameScanner, NoCapture, NotResp, ScanProgress, StreamSide};
pub use notice::ProxyNotice;
pub use proxy::{RespProxy, RespProxyBuilder};
pub use rule::{CommandFault, CommandFilter, ErrorLine, Rule};
pub use rules::{RuleGuard, RuleSet};
pub use seen::SeenCommands;
pub use text::RuleError;
pub use upstream::{Upstream, UpstreamError};
