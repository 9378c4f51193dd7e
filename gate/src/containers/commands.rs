//! The commands that the checks run. One at a time runs, and can be ended.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use xtask::docker::Docker;
use xtask::{child, project};

/// The program that people run as `cargo xtask`.
static XTASK: OnceLock<PathBuf> = OnceLock::new();

/// Builds that program anew.
pub(super) fn build() -> anyhow::Result<()> {
    let mut build = Command::new("cargo");
    child::output(
        build
            .args(["build", "--quiet", "--package", "xtask"])
            .current_dir(project::root()),
    )?;
    let built = project::target_dir()?.join("debug/xtask");
    XTASK.get_or_init(|| built);
    Ok(())
}

/// One of the project's own commands, as people type it.
pub(super) fn xtask(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(XTASK.get().context("xtask is not built")?);
    command.args(arguments).current_dir(project::root());
    Ok(command)
}

/// Runs a command that must succeed, and returns its output.
pub(super) fn succeeds(command: &mut Command) -> anyhow::Result<String> {
    let (printed, code) = ends(command)?;
    anyhow::ensure!(
        code == Some(0),
        "{command:?} ended with {code:?}:\n{printed}"
    );
    Ok(printed)
}

/// Runs a command that must fail, and returns its output.
pub(super) fn fails(command: &mut Command) -> anyhow::Result<String> {
    let (printed, code) = ends(command)?;
    anyhow::ensure!(
        code.is_some_and(|code| code != 0),
        "{command:?} ended with {code:?}:\n{printed}"
    );
    Ok(printed)
}

fn ends(command: &mut Command) -> anyhow::Result<(String, Option<i32>)> {
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command
        .spawn()
        .with_context(|| format!("run {command:?}"))?;
    let running = RunningCommand::new(&child);
    let output = child.wait_with_output()?;
    drop(running);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((
        text(&output.stdout) + &text(&output.stderr),
        output.status.code(),
    ))
}

/// Process group of the command that runs now; 0 for none.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// Asks the command that runs to end, and waits until it has ended what it started.
pub(super) fn end() {
    let group = RUNNING.load(Ordering::Relaxed);
    let script = format!("while kill -s TERM -- -{group}; do sleep 0.5; done");
    if group != 0 {
        let _ = Command::new("timeout")
            .args(["30", "sh", "-c", &script])
            .stderr(Stdio::null())
            .status();
    }
}

/// A command in a process group of its own, as a shell gives to its foreground. [`end`] reaches it
/// until this is dropped.
pub(super) struct RunningCommand;

impl RunningCommand {
    pub(super) fn new(child: &Child) -> Self {
        RUNNING.store(child.id(), Ordering::Relaxed);
        Self
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        RUNNING.store(0, Ordering::Relaxed);
    }
}

/// The container of a service.
pub(super) fn container_of(docker: &Docker, service: &str) -> anyhow::Result<String> {
    child::output(docker.compose().args(["ps", "--all", "--quiet", service]))
}
