//! Takes the terminal, and gives it back on every path: return, error, unwinding, and a panic in
//! any task or thread.
//!
//! A panic restores the screen before its message is printed, so that the message stands on the
//! main screen, and is reported to the loop, which heals the story and leaves. Nothing is drawn
//! once the terminal was given back: the writer looks at the guard under the lock of standard
//! output.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::terminal::{
    DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use tokio::sync::Notify;

use crate::TuiError;

/// The screen is ours.
static HELD: AtomicBool = AtomicBool::new(false);
/// The panic hook is active, also after the screen was given back.
static WATCHED: AtomicBool = AtomicBool::new(false);
static PANIC: Mutex<Option<String>> = Mutex::new(None);
static PANICKED: Notify = Notify::const_new();

/// The one guard of a process. Dropping it gives the terminal back.
#[derive(Debug)]
pub(crate) struct TerminalGuard(());

impl TerminalGuard {
    /// Takes the terminal: raw mode now, the alternate screen with [`enter`].
    pub(crate) fn take() -> Result<Self, TuiError> {
        if WATCHED.swap(true, Ordering::SeqCst) {
            return Err(TuiError::InUse);
        }
        let guard = Self(());
        watch();
        HELD.store(true, Ordering::SeqCst);
        enable_raw_mode().map_err(|source| TuiError::Terminal {
            operation: "setting up",
            source,
        })?;
        Ok(guard)
    }

    /// Resolves when something in this process has panicked; cancel safe.
    pub(crate) async fn panicked(&self) -> String {
        loop {
            if let Some(message) = PANIC.lock().take() {
                return message;
            }
            PANICKED.notified().await;
        }
    }

    /// Gives the screen back, but goes on watching.
    pub(crate) fn release(&self) {
        give_back();
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        give_back();
        WATCHED.store(false, Ordering::SeqCst);
        PANIC.lock().take();
    }
}

/// Switches to the alternate screen.
pub(crate) fn enter(out: &mut impl Write) -> io::Result<()> {
    queue!(out, EnterAlternateScreen, DisableLineWrap, Hide)
}

/// Whether output still reaches the alternate screen.
pub(crate) fn is_held() -> bool {
    HELD.load(Ordering::SeqCst)
}

fn give_back() {
    // The lock is reentrant, so a panic while drawing does not wait for itself.
    let mut out = io::stdout().lock();
    if HELD.swap(false, Ordering::SeqCst) {
        // A terminal that went away cannot be restored.
        let _ = execute!(
            out,
            EndSynchronizedUpdate,
            EnableLineWrap,
            Show,
            LeaveAlternateScreen
        );
        let _ = disable_raw_mode();
    }
}

/// Puts a hook before the present one, once and for good: taking it off again is not possible while
/// a thread panics.
fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if WATCHED.load(Ordering::SeqCst) {
                give_back();
                *PANIC.lock() = Some(message(info));
                PANICKED.notify_one();
            }
            before(info);
        }));
    });
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let text = info
        .payload()
        .downcast_ref::<&str>()
        .map(ToString::to_string);
    let text = text.or_else(|| info.payload().downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "without a message".into());
    match info.location() {
        Some(location) => format!("{text} ({}:{})", location.file(), location.line()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_one_terminal() {
        WATCHED.store(true, Ordering::SeqCst);
        let first = TerminalGuard(());
        assert!(matches!(TerminalGuard::take(), Err(TuiError::InUse)));
        drop(first);
        assert!(
            !WATCHED.load(Ordering::SeqCst),
            "dropping the first has given the terminal back"
        );
    }
}
