//! Systems that are started by their file, and every fault on them. A program of its own: it keeps
//! the machine busy, which others' times would show.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../integration/support/mod.rs"]
mod support;
mod system;
mod torture;
