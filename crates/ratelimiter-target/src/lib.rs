//! Any rate limiter as a target: one check in, one outcome out.
//!
//! A [`Target`] has nodes and opens [`Connection`]s to them; a connection makes checks. Four kinds
//! cover the field:
//!
//! - **[`HttpTarget`]**: a request from a [`Template`]; allowed by its status, or by a field of its
//!   JSON body.
//! - **[`RespTarget`]**: a command to a Redis-like store; allowed by its reply, or by an element of
//!   it.
//! - **[`ExecTarget`]**: a line of JSON to a child process; allowed by its line of JSON.
//! - **[`GrpcTarget`]**: a call of Envoy's rate limit service (RLS v3); allowed by its code.
//!
//! The node of this project is an [`HttpTarget`] with a known form: [`HttpTarget::node`].
//!
//! Header fields such as `RateLimit` and `Retry-After` become [`Claims`](ratelimiter_api::Claims):
//! they are recorded and checked, and no outcome rests on them.
//!
//! Over TCP, a connection can keep a check back as a whole ([`Cork`]), so that many checks are
//! complete at one instant.
//!
//! Deliberately absent: retries, pooling, judging.
#![doc = include_str!("../README.md")]

mod answer;
mod claims;
mod cork;
mod exec;
mod grpc;
mod http;
mod http2;
mod message;
mod path;
mod resp;
mod route;
mod site;
mod status;
mod target;
mod template;

pub use answer::CheckAnswer;
pub use client_tls::{Authorities, OutOfReach, Reach, is_loopback};
pub use cork::Cork;
pub use exec::{ExecSite, ExecTarget};
pub use grpc::GrpcTarget;
pub use http::{HttpForm, HttpTarget};
pub use path::{Expectation, ExpectationError};
pub use resp::RespTarget;
pub use route::{ProxyProtocol, SourceAddress};
pub use status::StatusSet;
pub use target::{Call, CallEnd, Check, Connection, Target, TargetError};
pub use template::{Template, TemplateError};
