//! Keys and sizes, from a thread of their own.
//!
//! Not crossterm's `EventStream`: it reads in the task that polls it, and crossterm's reader does
//! not return from a terminal that hung up, so the loop would never receive the signal that came
//! with it. A thread that is stuck in there ends with the process and delays nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::layout::Size;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::bindings::{KeyEffect, KeyMode};

/// Time until the thread ends after its receiver is gone.
const PATIENCE: Duration = Duration::from_millis(100);

/// An input from the terminal.
#[derive(Debug)]
pub(crate) enum KeyInput {
    Press(KeyEffect),
    Resize(Size),
    Failed(io::Error),
}

/// The thread; it ends soon after this is dropped.
pub(crate) struct KeyReader {
    input: UnboundedReceiver<KeyInput>,
    stop: Arc<AtomicBool>,
}

impl KeyReader {
    /// Begins to read the terminal.
    pub(crate) fn read(mode: KeyMode) -> Self {
        let (sender, input) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let input = match event::poll(PATIENCE) {
                        Ok(false) => continue,
                        Ok(true) => event::read(),
                        Err(error) => Err(error),
                    };
                    let input = match input {
                        Ok(event) => match translate(&event, mode) {
                            Some(input) => input,
                            None => continue,
                        },
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => KeyInput::Failed(error),
                    };
                    let last = matches!(input, KeyInput::Failed(_));
                    if sender.send(input).is_err() || last {
                        return;
                    }
                }
            }
        });
        Self { input, stop }
    }

    /// The next key or size; never, once there are none. Cancel safe.
    pub(crate) async fn next(&mut self) -> KeyInput {
        match self.input.recv().await {
            Some(input) => input,
            None => std::future::pending().await,
        }
    }
}

impl Drop for KeyReader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn translate(event: &Event, mode: KeyMode) -> Option<KeyInput> {
    match event {
        // A terminal that reports releases reports each key twice.
        Event::Key(key) if key.kind == KeyEventKind::Press => {
            KeyEffect::of(*key, mode).map(KeyInput::Press)
        }
        Event::Resize(width, height) => Some(KeyInput::Resize(Size {
            width: *width,
            height: *height,
        })),
        _ => None,
    }
}
