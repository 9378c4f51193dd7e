//! No command prints or writes a control character, whatever it is given.

#[path = "../../../ratelimiter-cluster/tests/support/hostile.rs"]
mod hostile_input;

use hostile_input::{Program, hostile_json, hostile_text};

/// Logs whose every text is hostile: well-formed, cut off, and in every way not.
fn logs() -> Vec<Vec<u8>> {
    let (json, text) = (hostile_json(), hostile_text());
    let chapter = format!(
        r#"{{"title":{json},"narration":{json},"key_hint":{json},
        "auto_advance":true,"blocks_advance":false,"repeatable":false}}"#
    );
    let chart = format!(
        r#"{{"id":"c","title":{json},"unit":{json},"kind":"curves",
        "series":[{{"name":{json},"role":"part"}}]}}"#
    );
    let finding = format!(
        r#""id":{json},"name":{json},"subject":{json},"severity":"critical",
        "state":"raised","first_seen_ms":0.0,"detected_at_ms":1.0,"evidence":{json}"#
    );
    let health = format!(
        r#""nodes":[{{"id":{json},"address":{json},"state":"Up"}}],
        "dependencies":[{{"name":{json},"connected":false}}],
        "has_issues":true,"last_updated_unix_ms":1"#
    );
    let events = [
        format!(r#""event":"started","subject":{json},"chapters":[{chapter}],"charts":[{chart}]"#),
        r#""event":"entered","chapter":0"#.to_owned(),
        format!(r#""event":"status","status":{{"text":{json},"remaining_ms":1.0}}"#),
        format!(r#""event":"said","tone":"bad","text":{json}"#),
        format!(r#""event":"measured","name":{json},"value":1.0,"unit":{json},"detail":{json}"#),
        format!(r#""event":"marked","label":{json},"edge":"moment""#),
        format!(r#""event":"health",{health}"#),
        format!(r#""event":"noted","about":{json},"tone":"bad","text":{json}"#),
        format!(r#""event":"found",{finding}"#),
        format!(
            r#""event":"intervals","title":{json},"unit":{json},"allowed":1,
            "rows":[{{"label":{json},"from":0.0,"to":1.0}}]"#
        ),
        format!(r#""event":"text","panel":{json},"piece":{json}"#),
        format!(r#""event":"reported","name":{json},"report":{{{json}:{json}}}"#),
        format!(r#""event":"expected","name":{json},"occurred":false"#),
        format!(r#""event":"refused","reason":{json}"#),
        format!(
            r#""event":"finished","outcome":{{"outcome":"failed","chapter":{json},"error":{json}}}"#
        ),
    ];
    let line = |event: &String| format!("{{\"at_ms\":1.0,{}}}\n", event.replace('\n', ""));
    let log: String = events.iter().map(line).collect();
    let raw = log.replace(
        &json,
        &format!("\"{}\"", text.replace(|c: char| c < ' ', "")),
    );
    let cut_off = log[..log.len() - 100].to_owned();
    let wrong = line(&format!(r#""event":{json}"#));
    let texts = [log, raw, cut_off, wrong, text + "\n"];
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
        path: env!("CARGO_BIN_EXE_demo-ratelimiter"),
        values: &[
            ("LOG", "FILE"),
            ("run --node", "http://127.0.0.1:PORT"),
            ("run --store", "redis://127.0.0.1:PORT"),
            ("--record", "DIRECTORY/log.jsonl"),
            ("--out", "DIRECTORY/pictures"),
        ],
        always: &[("run", "--node"), ("run", "--store")],
        files: logs(),
        commands: 4,
    }
    .stays_clean();
}
