use std::fs::read_to_string;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Exit;

/// The signals that end a program: Ctrl-C, SIGTERM, and SIGHUP when the terminal is closed. They
/// are caught as soon as this exists. A program that was started to ignore SIGHUP, as by `nohup`,
/// goes on ignoring it.
#[derive(Debug)]
pub struct ExitSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl ExitSignals {
    /// Catches the signals. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: (!ignores_hangup())
                .then(|| listen(SignalKind::hangup()))
                .transpose()?,
        })
    }

    /// The exit code that belongs to the next signal.
    pub async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            Some(()) = async { self.hangup.as_mut()?.recv().await } => Exit::HungUp,
        }
    }
}

/// Whether the process ignores SIGHUP, the first signal of the mask. Only Linux has the file;
/// elsewhere the signal is caught.
fn ignores_hangup() -> bool {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}
