//! The monitor against a simulated cluster: silent while the limiter is correct, loud as soon as it
//! is not.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod broken;
mod correct;
mod world;
