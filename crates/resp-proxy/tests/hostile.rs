//! The program prints no control character, whatever it is given.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../../ratelimiter-cluster/tests/support/hostile.rs"]
mod hostile;

use hostile::{Program, hostile_json, hostile_text};

#[test]
fn no_command_puts_out_control_characters() {
    Program {
        path: env!("CARGO_BIN_EXE_resp-proxy"),
        values: &[
            ("--store", "redis://127.0.0.1:PORT"),
            ("--listen", "127.0.0.1:0"),
            (
                "--rule",
                "prefix=\"k\u{202e}\" do=error text=\"ERR no\u{9b}2J\"",
            ),
        ],
        always: &[("", "--listen")],
        files: vec![(hostile_text() + &hostile_json()).into_bytes()],
        commands: 1,
    }
    .stays_clean();
}
