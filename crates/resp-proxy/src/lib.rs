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

mod class;
mod command;
mod dialogue;
mod frame;
#[cfg(feature = "program")]
pub mod program;
mod proxy;
mod queue;
mod replies;
mod requests;
mod rule;
mod rules;
mod state;
mod text;
mod upstream;

pub use class::{CommandClass, UnknownClass};
pub use client_tls::{Authorities, TlsError};
pub use frame::{ElementCapture, FrameScanner, NoCapture, NotResp, ScanProgress, StreamSide};
pub use proxy::{RespProxy, RespProxyBuilder};
pub use rule::{CommandFault, CommandFilter, ConnectionFault, ErrorLine, ErrorLineRefusal, Rule};
pub use rules::{RuleGuard, RuleReport, RuleSet};
pub use state::ProxyCounters;
pub use text::RuleError;
pub use upstream::{Upstream, UpstreamError};
