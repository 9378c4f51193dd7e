//! The tests that use the crate from outside, in one program.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod grpc;
mod http;
mod http2;
