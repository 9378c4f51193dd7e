//! The two origins of a story's events: a story that is played now, and its log.

use std::time::Duration;

use demo_core::{StoryInput, TimedEvent};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::time::{Instant, sleep};

use crate::TuiError;
use crate::bindings::KeyEffect;
use crate::playback::LogPlayback;
use crate::state::Player;

/// Events taken in before keys are looked at again.
const BATCH: usize = 64;

/// An origin of events, with their clock.
pub(crate) trait StorySource {
    /// Resolves when there are events to take; cancel safe.
    ///
    /// # Errors
    /// When no more will come.
    async fn ready(&mut self) -> Result<(), TuiError>;

    /// The events that are due.
    fn take(&mut self) -> Vec<TimedEvent>;

    /// Time since the story began; `None` before that.
    fn now(&self) -> Option<Duration>;

    /// Sends an input to the story, if there is one.
    fn send(&mut self, input: StoryInput);

    /// The progress of a log; `None` for a live story.
    fn player(&self) -> Option<Player>;

    /// Follows a key that moves in a log. A jump returns all events up to the new place.
    fn press(&mut self, press: KeyEffect) -> Option<Vec<TimedEvent>>;
}

/// A story that is played now, behind channels.
pub(crate) struct LiveSource {
    events: UnboundedReceiver<TimedEvent>,
    inputs: Sender<StoryInput>,
    received: Vec<TimedEvent>,
    /// The story may still emit events.
    open: bool,
    /// [`StoryInput::Quit`] is not sent yet. The story does not receive while it heals.
    quit_pending: bool,
    began: Option<Instant>,
}

impl LiveSource {
    pub(crate) fn new(events: UnboundedReceiver<TimedEvent>, inputs: Sender<StoryInput>) -> Self {
        Self {
            events,
            inputs,
            received: Vec::with_capacity(BATCH),
            open: true,
            quit_pending: false,
            began: None,
        }
    }
}

impl StorySource for LiveSource {
    async fn ready(&mut self) -> Result<(), TuiError> {
        loop {
            tokio::select! {
                biased;
                // A closed channel belongs to a story that has ended.
                _ = self.inputs.send(StoryInput::Quit), if self.quit_pending => {
                    self.quit_pending = false;
                }
                count = self.events.recv_many(&mut self.received, BATCH), if self.open => {
                    self.open = count > 0;
                    return if self.open { Ok(()) } else { Err(TuiError::StoryLost) };
                }
                else => std::future::pending().await,
            }
        }
    }

    fn take(&mut self) -> Vec<TimedEvent> {
        let now = Instant::now();
        // Events come a little late, never early: the earliest beginning is the right one.
        let began = self.received.iter().filter_map(|e| now.checked_sub(e.at));
        self.began = began.chain(self.began).min();
        std::mem::take(&mut self.received)
    }

    fn now(&self) -> Option<Duration> {
        self.began.map(|began| began.elapsed())
    }

    /// An input that finds the channel full would be followed too late; quitting is sent later.
    fn send(&mut self, input: StoryInput) {
        let sent = self.inputs.try_send(input);
        self.quit_pending |= matches!(sent, Err(TrySendError::Full(StoryInput::Quit)));
    }

    fn player(&self) -> Option<Player> {
        None
    }

    fn press(&mut self, _: KeyEffect) -> Option<Vec<TimedEvent>> {
        None
    }
}

/// A log that is played in real time.
pub(crate) struct LogSource {
    playback: LogPlayback,
    /// Time has passed up to here.
    passed: Instant,
}

impl LogSource {
    pub(crate) fn new(playback: LogPlayback) -> Self {
        Self {
            playback,
            passed: Instant::now(),
        }
    }
}

impl StorySource for LogSource {
    async fn ready(&mut self) -> Result<(), TuiError> {
        match self.playback.wait() {
            Some(wait) => sleep(wait).await,
            None => std::future::pending().await,
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<TimedEvent> {
        let before = std::mem::replace(&mut self.passed, Instant::now());
        self.playback.pass(self.passed - before).to_vec()
    }

    fn now(&self) -> Option<Duration> {
        Some(self.playback.now())
    }

    fn send(&mut self, _: StoryInput) {}

    fn player(&self) -> Option<Player> {
        Some(self.playback.player())
    }

    fn press(&mut self, press: KeyEffect) -> Option<Vec<TimedEvent>> {
        self.playback.press(press).map(<[_]>::to_vec)
    }
}
