//! The screens of a log in the order of their times.

use std::time::Duration;

use demo_core::{Event, Log};
use ratatui::buffer::Buffer;
use ratatui::layout::Size;

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
    let began = log.events()[0].at;
    let mut reel = Reel {
        screen: Offscreen::new(options),
        size,
        frames: Vec::new(),
        entered: None,
    };
    let (mut titles, mut held) = (Vec::new(), Duration::ZERO);
    let (mut tick, mut visible_since) = (began, Duration::ZERO);
    for stamped in log.events() {
        while tick < stamped.at {
            reel.screen.pass(tick);
            reel.shoot(tick - began + held);
            tick += every;
        }
        let at = stamped.at - began;
        match &stamped.event {
            Event::Started { chapters, .. } => {
                titles = chapters.iter().map(|c| c.title.clone()).collect()
            }
            Event::Entered { chapter } => {
                if *chapter > 0 {
                    reel.shoot(at + held);
                    held += options.dwell.saturating_sub(at + held - visible_since);
                }
                visible_since = at + held;
                reel.entered = titles
                    .get(*chapter)
                    .map(|title| format!("{}. {title}", chapter + 1));
            }
            _ => {}
        }
        reel.screen.apply(stamped.clone());
    }
    let last = log
        .events()
        .last()
        .map(|stamped| stamped.at)
        .unwrap_or_default();
    reel.shoot(last - began + held);
    reel.frames
}

/// The screen at the end of each chapter, and at the end of the story.
pub(super) fn ends(log: &Log, size: Size, options: &ScreenOptions) -> Vec<(Option<usize>, Buffer)> {
    let mut screen = Offscreen::new(options);
    let (mut ends, mut current) = (Vec::new(), None);
    for stamped in log.events() {
        if matches!(
            stamped.event,
            Event::Entered { .. } | Event::Finished { .. }
        ) && current.is_some()
        {
            ends.push((current, screen.draw(size.width, size.height)));
        }
        if let Event::Entered { chapter } = stamped.event {
            current = Some(chapter + 1);
        }
        screen.apply(stamped.clone());
    }
    ends.push((None, screen.draw(size.width, size.height)));
    ends
}

struct Reel {
    screen: Offscreen,
    size: Size,
    frames: Vec<FilmFrame>,
    /// Marks the next frame.
    entered: Option<String>,
}

impl Reel {
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
