//! Command lines of the shell: run now, or at the end.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::bail;

/// Runs a command line to its end.
pub(super) async fn shell(command: &str, directory: &Path) -> anyhow::Result<()> {
    let mut run = tokio::process::Command::new("sh");
    let run = run.args(["-c", command]).current_dir(directory);
    let run = run.stdin(Stdio::null()).kill_on_drop(true);
    let output = run.output().await?;
    if !output.status.success() {
        let first = command.split_whitespace().next().unwrap_or_default();
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.trim().lines().last().unwrap_or_default().to_owned();
        bail!("'{first} ...' ended with {}: {last}", output.status);
    }
    Ok(())
}

/// A command line that is run when this is dropped, and when this process ends in any way.
#[derive(Debug)]
pub(super) struct LastCommand {
    held: Option<ChildStdin>,
    shell: Child,
}

impl LastCommand {
    pub(super) fn new(command: &str, directory: &Path) -> anyhow::Result<Self> {
        let mut shell = Command::new("sh")
            .args([
                "-c",
                "trap '' HUP INT QUIT TERM; read -r _; exec sh -c \"$1\"",
                "last",
                command,
            ])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let held = shell.stdin.take();
        Ok(Self { held, shell })
    }

    /// Ends without running it.
    pub(super) fn forget(mut self) {
        let _ = self.shell.kill();
    }
}

impl Drop for LastCommand {
    fn drop(&mut self) {
        // A line and an end are the same to it.
        let _ = self.held.take().map(|mut held| held.write_all(b"\n"));
        let _ = self.shell.wait();
    }
}
