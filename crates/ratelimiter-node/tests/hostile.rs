//! The node prints no control character, whatever it is given.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../../ratelimiter-cluster/tests/support/hostile.rs"]
mod hostile;

use hostile::{Program, hostile_json, hostile_text};

#[test]
fn no_command_puts_out_control_characters() {
    let key = format!(
        r#"[{{"key":{},"limit":1,"window_seconds":1}}]"#,
        hostile_json()
    );
    Program {
        path: env!("CARGO_BIN_EXE_ratelimiter-node"),
        values: &[
            ("--store", "redis://127.0.0.1:PORT"),
            ("--listen", "127.0.0.1:0"),
            ("--node", "http://127.0.0.1:PORT"),
            ("--limits", "FILE"),
            ("--log", "trace"),
        ],
        always: &[("", "--listen")],
        files: vec![key.into_bytes(), hostile_text().into_bytes()],
        commands: 2,
    }
    .stays_clean();
}
