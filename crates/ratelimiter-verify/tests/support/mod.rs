//! The program, and limiters to point it at.
#![allow(
    dead_code,
    unused_imports,
    reason = "every test file uses its own part of this"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

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

/// Expects the exit code; a failure shows the output.
#[track_caller]
pub(crate) fn ends(output: &Output, code: i32, case: impl std::fmt::Display) {
    let (out, err) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{case}: {out}{err}");
}

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ratelimiter-verify"));
    command
        .args(arguments)
        .env_remove("RATELIMITER_ADMIN_TOKEN")
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

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned()
}

/// The JSON lines of an output.
pub(crate) fn events(output: &Output) -> Vec<Value> {
    stdout(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// `verdict.json` of a run with `--out`.
pub(crate) fn verdict(directory: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("verdict.json")).unwrap()).unwrap()
}

/// A server on loopback that gives every request the same answer, in place of an unusable store.
pub(crate) fn fixed_answer_server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 4096];
                while matches!(stream.read(&mut buffer), Ok(1..))
                    && stream.write_all(answer.as_bytes()).is_ok()
                {}
            });
        }
    });
    address
}

/// An address on loopback with no listener.
pub(crate) fn closed_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}
