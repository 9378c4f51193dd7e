use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::ClusterError;

/// Waits for the end of its standard input, which comes when its owner ends, for any reason; then
/// removes the directory and kills its whole process group, itself included.
///
/// ```text
///   owner ~~ pipe ~~> reader ~~ pipe ~~> second     the shell, parent of both, waits for both
/// ```
///
/// The shell and its second both clean up, so one of them may be killed first: the reader outlives
/// each of the two, and its own end is the signal for both.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
end() { rm -rf -- "$1"; kill -KILL 0; }
read -r _ | { read -r _; end "$1"; }
end "$1"
"#;

/// A process whose only purpose is to outlive its owner and clean up after it, and the directory
/// that it removes.
///
/// All processes that should die with the owner join the guardian's process group. The separate
/// group also keeps the terminal's Ctrl-C from those processes: the owner gets it, and ends them in
/// order.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Child,
    directory: TempDir,
}

impl Guardian {
    /// Creates a temporary directory, and starts the guardian that removes it at the end.
    pub(crate) fn start() -> Result<Self, ClusterError> {
        let directory = tempfile::Builder::new()
            .prefix("ratelimiter-cluster-")
            .tempdir()
            .map_err(ClusterError::io("create a temporary directory"))?;
        let child = shell(directory.path()).map_err(ClusterError::io("start sh"))?;
        Ok(Self { child, directory })
    }

    /// The process group to join.
    pub(crate) fn group(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

fn shell(directory: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", SCRIPT, "guardian"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

impl Drop for Guardian {
    /// Ends the whole group.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It kills itself, so there is a status to collect; its death by a signal is the expected
        // end.
        let _ = self.child.wait();
    }
}
