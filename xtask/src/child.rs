//! Other programs: run with the signals passed on, or for their output.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::ending::CommandEnd;

/// Time between two looks at a child.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// A terminal sends Ctrl-C to the child as well. A child that still runs after this time gets the
/// signal from here.
const GRACE: Duration = Duration::from_secs(5);

/// Holds the signals that end a program, so that a cluster can be brought down first.
///
/// They are noticed, never obeyed: their holder asks [`Self::check`], and passes them on to
/// children. Signals that reach the children directly are unchanged, since no handler survives the
/// start of another program.
pub(crate) struct HeldSignals {
    newest: Arc<AtomicUsize>,
    first: Cell<Option<i32>>,
}

impl HeldSignals {
    pub(crate) fn hold() -> anyhow::Result<Self> {
        let newest = Arc::new(AtomicUsize::new(0));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register_usize(
                signal,
                Arc::clone(&newest),
                signal.unsigned_abs() as usize,
            )
            .with_context(|| format!("signal {signal} cannot be listened to"))?;
        }
        Ok(Self {
            newest,
            first: Cell::new(None),
        })
    }

    fn news(&self) -> Option<i32> {
        let signal = i32::try_from(self.newest.swap(0, Ordering::Relaxed))
            .ok()
            .filter(|s| *s != 0)?;
        self.first.set(self.first.get().or(Some(signal)));
        Some(signal)
    }

    /// An error once any of them has come.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.news();
        match self.first.get() {
            None => Ok(()),
            Some(signal) => Err(CommandEnd(u8::try_from(128 + signal).unwrap_or(1)).into()),
        }
    }

    /// Runs a child in this terminal until it ends, and passes signals on to it.
    pub(crate) fn run(&self, command: &mut Command) -> anyhow::Result<ExitStatus> {
        let mut child = spawn(command)?;
        let mut tell = None;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            match self.news() {
                None => {}
                Some(SIGINT) => tell = tell.or(Some((Instant::now() + GRACE, "INT"))),
                Some(_) => tell = Some((Instant::now(), "TERM")),
            }
            if let Some((_, name)) = tell.take_if(|(at, _)| *at <= Instant::now()) {
                send(name, &child)?;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Runs a child that must succeed.
    pub(crate) fn succeed(&self, command: &mut Command) -> anyhow::Result<()> {
        tell(&format!("$ {}", shown(command)));
        let status = self.run(command)?;
        self.check()?;
        anyhow::ensure!(status.success(), "{} failed: {status}", shown(command));
        Ok(())
    }
}

/// Prints a line on standard error, if it is still open. `eprintln` panics when the terminal is
/// gone, which is when a cluster has to be brought down.
pub(crate) fn tell(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Signals a child that is not waited for yet, so that its id is still its own.
pub fn send(signal: &str, child: &Child) -> anyhow::Result<()> {
    // The shell's own `kill`: the program of that name is not everywhere.
    let script = format!("kill -s {signal} {}", child.id());
    Command::new("sh")
        .args(["-c", &script])
        .status()
        .context("cannot run sh")?;
    Ok(())
}

/// Runs a child without a terminal and returns its output. The last line of its standard error is
/// the error.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    said(command, status, &stdout, &stderr)
}

/// The same for one that may hang: it is killed when its time is over. For short answers only.
pub(crate) fn output_within(patience: Duration, command: &mut Command) -> anyhow::Result<String> {
    let mut child = spawn(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )?;
    let until = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= until {
            // One that ended in this very moment cannot be killed, and need not be.
            let _ = child.kill();
            child.wait()?;
            anyhow::bail!("no answer within {} s", patience.as_secs());
        }
        std::thread::sleep(POLL);
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child
        .stdout
        .take()
        .map(|mut pipe| pipe.read_to_end(&mut stdout))
        .transpose()?;
    child
        .stderr
        .take()
        .map(|mut pipe| pipe.read_to_end(&mut stderr))
        .transpose()?;
    said(command, status, &stdout, &stderr)
}

fn said(
    command: &Command,
    status: ExitStatus,
    stdout: &[u8],
    stderr: &[u8],
) -> anyhow::Result<String> {
    if status.success() {
        return Ok(String::from_utf8_lossy(stdout).trim_end().to_owned());
    }
    let words = String::from_utf8_lossy(stderr);
    let last = words.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(anyhow::anyhow!(
        "{}",
        last.map_or_else(
            || format!("{} failed: {status}", shown(command)),
            Into::into
        )
    ))
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    command
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.display().to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_reason_is_the_last_line() {
        assert_eq!(output(Command::new("echo").arg("one")).unwrap(), "one");
        let words = "echo why >&2; echo >&2; exit 3";
        assert_eq!(
            output(Command::new("sh").args(["-c", words]))
                .unwrap_err()
                .to_string(),
            "why"
        );
        let silent = output(Command::new("sh").args(["-c", "exit 3"]))
            .unwrap_err()
            .to_string();
        assert_eq!(silent, "sh -c exit 3 failed: exit status: 3");
    }

    #[test]
    fn a_hanging_child_is_given_up() {
        let error =
            output_within(Duration::from_millis(50), Command::new("sleep").arg("60")).unwrap_err();
        assert!(error.to_string().contains("no answer"), "{error}");
    }

    #[test]
    fn a_signal_is_passed_on_and_remembered() {
        let signals = HeldSignals::hold().unwrap();
        signals.check().unwrap();
        // As a user would with `kill`, once the child is there to be told.
        let script = format!(
            "trap 'exit 7' TERM; kill -s TERM {}; while :; do sleep 0.01; done",
            std::process::id()
        );
        let status = signals
            .run(Command::new("sh").args(["-c", &script]))
            .unwrap();
        assert_eq!(status.code(), Some(7));
        let ended = signals.check().unwrap_err();
        assert_eq!(ended.downcast_ref::<CommandEnd>().map(|e| e.0), Some(143));
    }
}
