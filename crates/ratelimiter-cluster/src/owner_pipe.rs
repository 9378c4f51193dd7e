use std::io::{self, PipeReader, PipeWriter, pipe};

/// A pipe whose end in this process makes the kernel kill another process once it is closed, which
/// is when this process ends, for any reason.
///
/// ```text
///   owner: writes never ~~ pipe ~~> child: standard input, with SIGKILL for its end
/// ```
///
/// No third process has a part in it, so none can be killed first. The signal belongs to the open
/// pipe, and not to a thread as the parent-death signal does. It is for the child alone: the
/// processes that a child starts end with the group of the guardian, unless they leave it
/// (`setsid`). Where the system is not Linux, the child ends with that group, too.
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
        kill_at_end(&self.end, child)?;
        Ok(OwnerEnd(self.held))
    }
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "no safe function sets the owner of an open file"
)]
fn kill_at_end(end: &PipeReader, child: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    let set = |what: libc::c_int, value: libc::c_int| {
        // SAFETY: the descriptor is open, and these commands take a number.
        match unsafe { libc::fcntl(end.as_raw_fd(), what, value) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    set(libc::F_SETOWN, child.cast_signed())?;
    set(F_SETSIG, libc::SIGKILL)?;
    set(libc::F_SETFL, libc::O_ASYNC)
}

/// Of `fcntl(2)`, from Linux's `asm-generic/fcntl.h`.
#[cfg(target_os = "linux")]
const F_SETSIG: libc::c_int = 10;

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn kill_at_end(_end: &PipeReader, _child: u32) -> io::Result<()> {
    Ok(())
}
