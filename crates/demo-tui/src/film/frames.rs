//! The screens of a log in the order of their times.

use std::time::Duration;

use demo_core::{Event, Log};
use ratatui::buffer::Buffer;
use ratatui::layout::Size;

use crate::playback::{LogPlayback, ends_chapter};
use crate::{Offscreen, ScreenOptions};

/// One screen.
#[derive(Clone, Debug)]
pub(super) struct FilmFrame {
    /// Time since the first one.
    pub(super) at: Duration,
    pub(super) screen: Buffer,
    /// The chapter that was entered just before, as "4. The fault".
    pub(super) entered: Option<String>,
}

/// A frame after `every` interval in which the screen has changed, and at the end of each chapter.
/// Chapters that were visible for less than the options' dwell are held.
pub(super) fn frames(
    log: &Log,
    size: Size,
    options: &ScreenOptions,
    every: Duration,
) -> Vec<FilmFrame> {
    let mut playback = LogPlayback::new(log, options.dwell);
    let mut camera = Camera {
        screen: Offscreen::new(options),
        size,
        frames: Vec::new(),
        entered: None,
    };
    let (mut at, mut tick) = (Duration::ZERO, Duration::ZERO);
    while let Some(wait) = playback.wait() {
        let step = wait.min(tick - at);
        at += step;
        for stamped in playback.pass(step) {
            if ends_chapter(stamped) {
                camera.shoot(at);
            }
            camera.screen.apply(stamped.clone());
            if matches!(stamped.event, Event::Entered { .. }) {
                camera.entered = camera.screen.chapter_title();
            }
        }
        if at == tick {
            camera.screen.pass(playback.now());
            camera.shoot(at);
            tick += every;
        }
    }
    camera.shoot(at);
    camera.frames
}

/// The screen at the end of each chapter, and at the end of the story.
pub(super) fn ends(log: &Log, size: Size, options: &ScreenOptions) -> Vec<(Option<usize>, Buffer)> {
    let mut screen = Offscreen::new(options);
    let (mut ends, mut current) = (Vec::new(), None);
    for stamped in log.events() {
        if ends_chapter(stamped) && current.is_some() {
            ends.push((current, screen.draw(size.width, size.height)));
        }
        if let Event::Entered { chapter } = stamped.event {
            current = Some(chapter + 1);
        }
        if matches!(stamped.event, Event::Encore { .. }) {
            current = None;
        }
        screen.apply(stamped.clone());
    }
    ends.push((None, screen.draw(size.width, size.height)));
    ends
}

struct Camera {
    screen: Offscreen,
    size: Size,
    frames: Vec<FilmFrame>,
    /// Marks the next frame.
    entered: Option<String>,
}

impl Camera {
    /// Takes a frame, unless it looks like the one before.
    fn shoot(&mut self, at: Duration) {
        let screen = self.screen.draw(self.size.width, self.size.height);
        if self
            .frames
            .last()
            .is_none_or(|before| before.screen != screen)
        {
            self.frames.push(FilmFrame {
                at,
                screen,
                entered: self.entered.take(),
            });
        }
    }
}
