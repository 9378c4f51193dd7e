use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Exit;

/// The signals that end a program: Ctrl-C, SIGTERM, and SIGHUP when the terminal is closed. They
/// are caught as soon as this exists.
#[derive(Debug)]
pub struct ExitSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
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
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The exit code that belongs to the next signal.
    pub async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            _ = self.hangup.recv() => Exit::HungUp,
        }
    }
}
