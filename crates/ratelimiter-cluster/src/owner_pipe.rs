use std::io::{self, PipeReader, PipeWriter, pipe};

/// A pipe whose end in this process makes the kernel kill another process once it is closed, which
/// is when this process ends, for any reason.
///
/// ```text
///   owner: writes never ~~ pipe ~~> child: standard input, with SIGKILL for its end
/// ```
///
/// No third process has a part in it, so none can be killed first. The signal belongs to the open
/// pipe, and not to a thread as the parent-death signal does. It is for a child alone, or for its
/// group without those that leave it (`setsid`). Where the system is not Linux, nothing is killed:
/// there a cluster ends with its guardian.
#[derive(Debug)]
pub(crate) struct OwnerPipe {
    end: PipeReader,
    held: PipeWriter,
}

/// This process's end of the pipe; closing it kills the child.
#[derive(Debug)]
pub(crate) struct OwnerEnd(#[expect(dead_code, reason = "held until it is dropped")] PipeWriter);

impl OwnerPipe {
    pub(crate) fn new() -> io::Result<Self> {
        let (end, held) = pipe()?;
        Ok(Self { end, held })
    }

    /// The child's end, for its standard input.
    pub(crate) fn child_end(&self) -> io::Result<PipeReader> {
        self.end.try_clone()
    }

    /// Makes the end of this process the end of a child that has the other end.
    pub(crate) fn bind(self, child: u32) -> io::Result<OwnerEnd> {
        kill_at_end(&self.end, child.cast_signed())?;
        Ok(OwnerEnd(self.held))
    }

    /// The same for the whole group that a child leads.
    pub(crate) fn bind_group(self, leader: u32) -> io::Result<OwnerEnd> {
        kill_at_end(&self.end, -leader.cast_signed())?;
        Ok(OwnerEnd(self.held))
    }
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "no safe function sets the owner of an open file"
)]
fn kill_at_end(end: &PipeReader, owner: i32) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    let set = |what: libc::c_int, value: libc::c_int| {
        // SAFETY: the descriptor is open, and these commands take a number.
        match unsafe { libc::fcntl(end.as_raw_fd(), what, value) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // A negative number is a group.
    set(libc::F_SETOWN, owner)?;
    set(F_SETSIG, libc::SIGKILL)?;
    set(libc::F_SETFL, libc::O_ASYNC)
}

/// Of `fcntl(2)`, from Linux's `asm-generic/fcntl.h`.
#[cfg(target_os = "linux")]
const F_SETSIG: libc::c_int = 10;

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn kill_at_end(_end: &PipeReader, _owner: i32) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn closed_end_kills_the_group() {
        let owner = OwnerPipe::new().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "sleep 600 & echo $!; wait"])
            .stdin(owner.child_end().unwrap())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let end = owner.bind_group(child.id()).unwrap();
        let mut grandchild = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut grandchild).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        drop(end);
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        let status = format!("/proc/{}/status", grandchild.trim());
        let until = Instant::now() + Duration::from_secs(20);
        // One that has ended and was not collected yet is a zombie.
        while std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ")) {
            assert!(Instant::now() < until, "process {grandchild} goes on");
        }
    }
}
