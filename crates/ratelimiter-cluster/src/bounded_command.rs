use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::owner_pipe::OwnerPipe;

/// Time between two looks at the command.
const POLL: Duration = Duration::from_millis(5);
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// The most output that is read, bytes of each stream.
const MOST: u64 = 1024 * 1024;

/// Runs a command to its end. With all that it has started it ends with this process, and when the
/// deadline is over. Progress is reported after a second, and then every five.
pub(crate) fn run_within(
    deadline: Duration,
    command: &mut Command,
    progress: &dyn Fn(&str),
) -> io::Result<Output> {
    let owner = OwnerPipe::new()?;
    let child = command
        .stdin(owner.child_end()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let id = child.id();
    let mut group = CommandGroup(Some(child));
    let _owner = owner.bind_group(id)?;
    let child = group.0.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    let (started, mut report) = (Instant::now(), Duration::from_secs(1));
    // A process that holds the streams open is a part of the command.
    while !(stdout.is_finished() && stderr.is_finished()) {
        let took = started.elapsed();
        if took >= deadline {
            let reason = format!("no end within {} s", deadline.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        if took >= report {
            let program = command.get_program().display();
            let (took, most) = (took.as_secs(), deadline.as_secs());
            progress(&format!(
                "waiting for {program}: {took} s of at most {most} s"
            ));
            report += PROGRESS;
        }
        sleep(POLL);
    }
    let text = |stream: JoinHandle<Vec<u8>>| stream.join().unwrap_or_default();
    let (stdout, stderr) = (text(stdout), text(stderr));
    // It has closed its output, and has nothing more to say.
    let status = group.end_by(started + deadline)?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

fn read(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    spawn(move || {
        let mut text = Vec::new();
        // A stream that breaks has ended.
        let _ = stream.map(|stream| stream.take(MOST).read_to_end(&mut text));
        text
    })
}

/// A command and all that it has started. Killed when dropped.
struct CommandGroup(Option<Child>);

impl CommandGroup {
    /// The status at the end of the command, which has ended its output.
    fn end_by(&mut self, until: Instant) -> io::Result<std::process::ExitStatus> {
        let mut child = self.0.take().ok_or(io::ErrorKind::NotFound)?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= until {
                self.0 = Some(child);
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(POLL);
        }
    }
}

impl Drop for CommandGroup {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else {
            return;
        };
        if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
            // All of them may have ended by themselves.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn command_returns_its_output() {
        let output = run_within(
            Duration::from_secs(20),
            &mut shell("echo a; exit 3"),
            &|_| (),
        );
        let output = output.unwrap();
        assert_eq!(
            (output.status.code(), &output.stdout[..]),
            (Some(3), &b"a\n"[..])
        );
    }

    #[test]
    fn command_without_end_is_killed_with_progress() {
        let lines = RefCell::new(Vec::new());
        let progress = |line: &str| lines.borrow_mut().push(line.to_owned());
        let deadline = Duration::from_millis(1200);
        let error = run_within(deadline, &mut shell("sleep 600"), &progress).unwrap_err();
        assert_eq!(error.to_string(), "no end within 1 s");
        assert_eq!(lines.into_inner(), ["waiting for sh: 1 s of at most 1 s"]);
    }

    #[test]
    fn output_without_end_is_bounded() {
        let deadline = Duration::from_secs(20);
        let output = run_within(deadline, &mut shell("tr '\\0' x < /dev/zero"), &|_| ()).unwrap();
        assert_eq!(output.stdout.len() as u64, MOST);
    }
}
