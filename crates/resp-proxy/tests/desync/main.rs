//! Replies stay matched with their commands, however the bytes are cut and whatever they hold.
//!
//! Every stream carries marked commands that a rule answers. An answer that comes one place too
//! early or too late would show that the proxy lost count.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../support/frames.rs"]
mod frames;
mod fuzzed;
#[path = "../support/proxy.rs"]
mod proxy;
mod real;
mod rng;
#[path = "../support/store.rs"]
mod store;

/// Commands of each stream: a few in the gate, `RESP_PROXY_FRAMES=10000000` for the long proof.
fn frame_count() -> u64 {
    std::env::var("RESP_PROXY_FRAMES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20_000)
}

/// The command that a rule answers, and its answer.
const MARK: &[u8] = b"*2\r\n$4\r\nMARK\r\n$1\r\nm\r\n";
const RULE: &str = "command=MARK do=error text=\"ERR marked\"";
const MARKED: &[u8] = b"-ERR marked\r\n";
