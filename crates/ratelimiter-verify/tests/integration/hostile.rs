//! No command prints or writes a control character, whatever it is given.

#[path = "../../../ratelimiter-cluster/tests/support/hostile.rs"]
mod hostile_input;

use hostile_input::{Program, hostile_json, hostile_text};

const VALUES: &[(&str, &str)] = &[
    ("--limit", "2/1s"),
    ("--url", "http://127.0.0.1:PORT/{key}"),
    ("resp --url", "redis://127.0.0.1:PORT"),
    ("resp --command", "CL.THROTTLE {key}"),
    ("--allowed-reply", "/0=0"),
    // Its process refuses, and writes errors.
    (
        "exec --command",
        "sh -c 'printf \"HOSTILE\\n\"; printf \"HOSTILE\\n\" >&2; cat'",
    ),
    ("--entry", "HOSTILE={key}"),
    ("--during", "exit 1"),
    ("--node", "http://127.0.0.1:PORT"),
    ("--store", "redis://127.0.0.1:PORT"),
    ("--listen", "127.0.0.1:0"),
    ("--rule", "command=GET do=error text=\"ERR no\""),
    ("--out", "DIRECTORY/results"),
    ("--phase", "burst"),
    ("--for", "1s"),
    ("--deadline", "300ms"),
    ("--max-requests", "200"),
    ("FILE", "FILE"),
];

/// Histories with hostile names: well-formed, and in every way not.
fn histories() -> Vec<Vec<u8>> {
    let (json, text) = (hostile_json(), hostile_text());
    let operation = |key: &str, node: &str, at: usize| {
        format!(
            r#"{{"key":{key},"node":{node},"invoke_ms":{at}.0,
            "complete_ms":{at}.5,"outcome":"allowed"}}"#
        )
        .replace('\n', "")
            + "\n"
    };
    let named: String = (1..9).map(|at| operation("\"k\"", &json, at)).collect();
    let raw = format!("\"{}\"", text.replace(char::is_control, ""));
    let bare: String = (1..9)
        .map(|at| operation("\"k\u{202e}\"", &raw, at))
        .collect();
    let wrong_key = operation(&json, &json, 1);
    let wrong_outcome = operation("\"k\"", &json, 1).replace("allowed", &text.replace('"', ""));
    let wrong_field = format!("{{{json}:1}}\n");
    let texts = [
        named,
        bare,
        wrong_key,
        wrong_outcome,
        wrong_field,
        text + "\n",
    ];
    let every_byte: Vec<u8> = (0..=255).collect();
    texts
        .map(String::into_bytes)
        .into_iter()
        .chain([every_byte])
        .collect()
}

#[test]
fn no_command_puts_out_control_characters() {
    Program {
        path: env!("CARGO_BIN_EXE_ratelimiter-verify"),
        values: VALUES,
        always: &[
            ("inject resp", "--listen"),
            ("watch", "--for"),
            ("inject redis-pause", "--for"),
        ],
        files: histories(),
        commands: 11,
    }
    .stays_clean();
}
