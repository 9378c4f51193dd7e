//! The program, and limiters to point it at.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub(crate) fn verify(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ratelimiter-verify"))
        .args(arguments)
        .env_remove("RATELIMITER_ADMIN_TOKEN")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `verdict.json` of a run with `--out`.
pub(crate) fn verdict(directory: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("verdict.json")).unwrap()).unwrap()
}
