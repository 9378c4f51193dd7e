use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the process is asked to end: by SIGTERM, by SIGHUP when its terminal is closed, or
/// by a SIGINT that was not a key. Made for the `shutdown` of [`Tui::run`](crate::Tui::run), and
/// good for any other front-end.
///
/// Signals are caught from the call on, not from the first poll.
///
/// # Errors
/// When no signal handler can be set.
///
/// # Panics
/// Outside a tokio runtime with I/O enabled.
pub fn termination() -> io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
