//! Runs the binary as its user would, and checks that nothing is left behind.
#![allow(
    dead_code,
    unused_imports,
    reason = "every test file uses its own part of this"
)]

#[path = "../../../../ratelimiter-cluster/tests/support/output.rs"]
mod output;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) use output::{ends, events, stderr, stdout};
use ratelimiter_cluster::node_binary;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub(crate) fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-ratelimiter"));
    command
        .args(arguments)
        .env("RATELIMITER_NODE_BIN", node_binary().unwrap())
        .stdin(Stdio::null());
    command
}

/// Runs to the end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    demo(arguments).output().unwrap()
}

/// The last value measured under a name.
pub(crate) fn measured(events: &[Value], name: &str) -> f64 {
    let of_name = |e: &&Value| e["event"] == "measured" && e["name"] == name;
    let event = events
        .iter()
        .rev()
        .find(of_name)
        .unwrap_or_else(|| panic!("nothing was measured as {name}"));
    event["value"].as_f64().unwrap()
}

/// A run that can be looked at while it goes on. Killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(demo(arguments))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Reads until a line contains `text`.
    pub(crate) fn until(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(
                self.lines.read_line(&mut line).unwrap() > 0,
                "the output ended before {text:?}"
            );
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Reads the rest and returns the exit code; none when it was killed.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes that were started, directly or not, with this text in their command line or in their
/// environment's marker.
fn processes_of(directory: &str) -> Vec<String> {
    let listed = Command::new("ps")
        .args(["-eo", "pid=,stat=,args="])
        .output()
        .unwrap();
    let is_zombie = |line: &str| {
        let state = line.split_whitespace().nth(1);
        state.is_some_and(|state| state.starts_with('Z'))
    };
    stdout(&listed)
        .lines()
        .filter(|line| line.contains(directory) && !is_zombie(line))
        .map(ToOwned::to_owned)
        .collect()
}

/// A directory for the temporary files of one run. Files in it, and processes that name it, belong
/// to that run.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// Waits until no process and no file of the run is left.
    pub(crate) fn is_clean(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let processes = processes_of(self.path());
            let files: Vec<_> = std::fs::read_dir(self.0.path())
                .unwrap()
                .map(|e| e.unwrap().path())
                .collect();
            if processes.is_empty() && files.is_empty() {
                return;
            }
            assert!(
                Instant::now() < until,
                "left behind: {processes:?} {files:?}"
            );
            std::thread::yield_now();
        }
    }
}
