use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its standard input, which comes when its owner ends, for any reason; then
/// removes the directory and kills its whole process group, itself included.
///
/// ```text
///   owner ~~ pipe ~~> reader ~~ pipe ~~> second     the shell, parent of both, waits for both
/// ```
///
/// The shell and its second both clean up, so that one of them may be killed first: the reader
/// outlives each of the two, and its own end is the signal for both.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
end() { rm -rf -- "$1"; kill -KILL 0; }
read -r _ | { read -r _; end "$1"; }
end "$1"
"#;

/// A process whose only purpose is to outlive its owner and clean up after it.
///
/// Everything that should die with the owner joins the guardian's process group. Being a group of
/// its own also keeps the terminal's Ctrl-C from those processes: the owner gets it, and ends them
/// in order.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Child,
}

impl Guardian {
    /// Starts a guardian that removes `directory` at the end.
    pub(crate) fn start(directory: &Path) -> io::Result<Self> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "guardian"])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { child })
    }

    /// The process group to join.
    pub(crate) fn group(&self) -> i32 {
        self.child.id().cast_signed()
    }
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
