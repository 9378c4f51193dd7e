//! The output of a program.

use std::fmt::Display;
use std::process::Output;

use serde_json::Value;

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned()
}

/// Expects the exit code; a failure shows the output.
#[track_caller]
pub(crate) fn ends(output: &Output, code: i32, case: impl Display) {
    let (out, err) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{case}: {out}{err}");
}

/// The JSON lines of the output.
pub(crate) fn events(output: &Output) -> Vec<Value> {
    let lines = stdout(output);
    let lines = lines.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}
