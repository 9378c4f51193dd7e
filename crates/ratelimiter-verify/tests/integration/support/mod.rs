//! The program, and limiters to point it at.
#![allow(
    dead_code,
    unused_imports,
    reason = "every test file uses its own part of this"
)]

#[path = "../../../../ratelimiter-cluster/tests/support/fixed_answer.rs"]
pub(crate) mod fixed_answer;
mod junit;
#[path = "../../../../ratelimiter-cluster/tests/support/output.rs"]
mod output;

use std::process::{Child, Command, Output, Stdio};

pub(crate) use junit::assert_junit;
pub(crate) use output::{ends, events, stderr, stdout};
use serde_json::Value;

pub(crate) fn verify(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// The words of a command line, and arguments of any text after them.
pub(crate) fn words<'a>(text: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    text.split_whitespace()
        .chain(more.iter().copied())
        .collect()
}

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ratelimiter-verify"));
    command
        .args(arguments)
        .env_remove("RATELIMITER_ADMIN_TOKEN")
        .env_remove("GITHUB_STEP_SUMMARY")
        .stdin(Stdio::null());
    command
}

/// A process that ends when dropped.
pub(crate) struct Started(pub(crate) Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `verdict.json` of a run with `--out`.
pub(crate) fn verdict(directory: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("verdict.json")).unwrap()).unwrap()
}
