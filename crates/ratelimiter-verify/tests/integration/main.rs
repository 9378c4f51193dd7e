//! The tests that use the crate from outside, in one program: it links once, and tests of all files
//! run beside each other.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod bad_input;
mod calls;
mod exec;
mod grpc;
mod hostile;
mod odd_histories;
mod own_system;
mod promises;
mod records;
mod results;
mod statements;
mod support;
mod verify;
