//! Keys and sizes, from a thread of their own.
//!
//! Not crossterm's `EventStream`: it reads in the task that polls it, and crossterm's reader does not return from a
//! terminal that hung up, so the loop would never hear the signal that came with it. A thread that is stuck in there
//! ends with the process and holds nobody up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::layout::Size;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::bindings::Press;

/// How long the thread goes on after nobody listens any more.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the terminal tells.
#[derive(Debug)]
pub(crate) enum Told {
    Press(Press),
    Resize(Size),
    Failed(io::Error),
}

/// The thread; it ends soon after this is dropped.
pub(crate) struct Keys {
    told: UnboundedReceiver<Told>,
    stop: Arc<AtomicBool>,
}

impl Keys {
    /// Begins to read the terminal, or nothing at all.
    pub(crate) fn read(terminal: bool) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(!terminal));
        if terminal {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let told = match event::poll(PATIENCE) {
                        Ok(false) => continue,
                        Ok(true) => event::read(),
                        Err(error) => Err(error),
                    };
                    let told = match told {
                        Ok(event) => match translate(&event) {
                            Some(told) => told,
                            None => continue,
                        },
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => Told::Failed(error),
                    };
                    let last = matches!(told, Told::Failed(_));
                    if tell.send(told).is_err() || last {
                        return;
                    }
                }
            });
        }
        Self { told, stop }
    }

    /// The next key or size; never, once there are none. Cancel safe.
    pub(crate) async fn next(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn translate(event: &Event) -> Option<Told> {
    match event {
        // A terminal that reports releases reports each key twice.
        Event::Key(key) if key.kind == KeyEventKind::Press => Press::of(*key).map(Told::Press),
        Event::Resize(width, height) => Some(Told::Resize(Size { width: *width, height: *height })),
        _ => None,
    }
}
