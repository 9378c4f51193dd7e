//! Any rate limiter as a target: one check in, one outcome out.
//!
//! A [`Target`] has nodes and opens [`Connection`]s to them; a connection makes checks. Three kinds
//! cover the field:
//!
//! | target | a check is | allowed when |
//! |---|---|---|
//! | [`HttpTarget`] | a request from a [`Template`] | its status, or a field of its JSON body, is as stated |
//! | [`RespTarget`] | a command to a Redis-like store | its reply, or an element of it, is as stated |
//! | [`ExecTarget`] | a line of JSON to a child process | its line of JSON states it |
//!
//! With the feature `grpc`, `GrpcTarget` asks Envoy's rate limit service (RLS v3).
//!
//! The node of this project is an [`HttpTarget`] with a known form: [`HttpTarget::node`].
//!
//! Header fields such as `RateLimit` and `Retry-After` become [`Claims`](ratelimiter_api::Claims):
//! they are recorded and checked, and no outcome rests on them.
//!
//! Over TCP, a connection can hold back the last byte of a check ([`Hold`]), so that many checks
//! are complete at one instant.
//!
//! Deliberately absent: retries, pooling, judging.
#![doc = include_str!("../README.md")]

mod answer;
mod claims;
mod exec;
#[cfg(feature = "grpc")]
mod grpc;
mod hold;
mod http;
#[cfg(any(test, feature = "grpc"))]
mod message;
mod path;
mod resp;
mod stream;
mod target;
mod template;

pub use answer::Answer;
pub use client_tls::{OutOfReach, Reach, TlsError, Trust, is_loopback};
pub use exec::ExecTarget;
#[cfg(feature = "grpc")]
pub use grpc::GrpcTarget;
pub use hold::Hold;
pub use http::{HttpTarget, StatusSet};
pub use path::{Expectation, ExpectationError};
pub use resp::RespTarget;
pub use target::{Check, Connection, Target, TargetError};
pub use template::{Template, TemplateError};
