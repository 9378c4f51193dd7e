//! The place in a log that is played. Pure: real time comes in, events come out.

use std::time::Duration;

use demo_core::{Event, Log, TimedEvent};

use crate::bindings::KeyEffect;
use crate::state::Player;

/// Multiples of the recorded pace.
const SPEEDS: [f64; 7] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
/// Place of the recorded pace in [`SPEEDS`].
const RECORDED: usize = 2;
/// Within this time from its beginning, "back" means the chapter before.
const BEGINNING: Duration = Duration::from_secs(2);

/// A log and the place that it is played at.
#[derive(Clone, Debug)]
pub(crate) struct LogPlayback {
    events: Vec<TimedEvent>,
    /// Index of the next event.
    next: usize,
    /// Time in the log.
    now: Duration,
    speed: usize,
    paused: bool,
    /// Shortest time for which a chapter is visible at the recorded pace.
    dwell: Duration,
    /// Time for which the chapter has been visible.
    visible: Duration,
}

impl LogPlayback {
    pub(crate) fn new(log: &Log, dwell: Duration) -> Self {
        Self {
            events: log.events().to_vec(),
            next: 0,
            now: log.events()[0].at,
            speed: RECORDED,
            paused: false,
            dwell,
            visible: dwell,
        }
    }

    /// Lets real time pass, and returns the events that have become due. A chapter that has not
    /// been visible for long enough is not left.
    pub(crate) fn pass(&mut self, real: Duration) -> &[TimedEvent] {
        let from = self.next;
        if !self.paused {
            let passed = real.mul_f64(SPEEDS[self.speed]);
            self.visible += passed;
            self.now = (self.now + passed).min(self.length());
        }
        while let Some(next) = self
            .events
            .get(self.next)
            .filter(|next| next.at <= self.now)
        {
            if ends_chapter(next) {
                if self.visible < self.dwell {
                    self.now = next.at;
                    break;
                }
                self.visible = self.now - next.at;
            }
            self.next += 1;
        }
        &self.events[from..self.next]
    }

    /// Real time until the next event; `None` while there is none to wait for.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let next = self.events.get(self.next).filter(|_| !self.paused)?;
        let dwell = if ends_chapter(next) {
            self.dwell.saturating_sub(self.visible)
        } else {
            Duration::ZERO
        };
        Some(
            next.at
                .saturating_sub(self.now)
                .max(dwell)
                .div_f64(SPEEDS[self.speed]),
        )
    }

    /// Time in the log.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// The progress, for the screen.
    pub(crate) fn player(&self) -> Player {
        Player {
            speed: SPEEDS[self.speed],
            paused: self.paused,
            length: self.length(),
        }
    }

    /// Follows a key. A jump returns all events up to the new place, for a screen that begins anew.
    pub(crate) fn press(&mut self, press: KeyEffect) -> Option<&[TimedEvent]> {
        match press {
            KeyEffect::Pause => self.paused = !self.paused,
            KeyEffect::Faster => self.speed = (self.speed + 1).min(SPEEDS.len() - 1),
            KeyEffect::Slower => self.speed = self.speed.saturating_sub(1),
            KeyEffect::NextChapter => {
                let to = self
                    .chapters()
                    .find(|i| *i >= self.next)
                    .unwrap_or(self.events.len() - 1);
                return Some(self.jump(to));
            }
            KeyEffect::PreviousChapter => {
                let begun: Vec<usize> = self.chapters().filter(|i| *i < self.next).collect();
                let at_its_beginning = begun
                    .last()
                    .is_some_and(|i| self.now <= self.events[*i].at + BEGINNING);
                let back = if at_its_beginning { 2 } else { 1 };
                let to = begun.len().checked_sub(back).map_or(0, |i| begun[i]);
                return Some(self.jump(to));
            }
            KeyEffect::End => return Some(self.jump(self.events.len() - 1)),
            _ => {}
        }
        None
    }

    /// Jumps to a chapter, from 0; `None` when the log has not got it.
    pub(crate) fn enter(&mut self, chapter: usize) -> Option<&[TimedEvent]> {
        let entered = Event::Entered { chapter };
        let to = self.chapters().find(|i| self.events[*i].event == entered)?;
        Some(self.jump(to))
    }

    fn jump(&mut self, to: usize) -> &[TimedEvent] {
        self.now = self.events[to].at;
        self.next = to + 1;
        self.visible = Duration::ZERO;
        &self.events[..=to]
    }

    /// Indices of the events that enter a chapter.
    fn chapters(&self) -> impl Iterator<Item = usize> {
        let entered = |stamped: &TimedEvent| matches!(stamped.event, Event::Entered { .. });
        self.events
            .iter()
            .enumerate()
            .filter(move |(_, stamped)| entered(stamped))
            .map(|(i, _)| i)
    }

    fn length(&self) -> Duration {
        self.events
            .last()
            .map(|stamped| stamped.at)
            .unwrap_or_default()
    }
}

/// Whether an event ends the chapter before it.
pub(crate) fn ends_chapter(stamped: &TimedEvent) -> bool {
    matches!(
        stamped.event,
        Event::Entered { .. } | Event::Encore { .. } | Event::Finished { .. }
    )
}

#[cfg(test)]
mod tests {
    use demo_core::{LogVersion, StoryEnd};

    use super::*;

    /// Three chapters, ten seconds each.
    fn playback() -> LogPlayback {
        dwelling(Duration::ZERO)
    }

    fn dwelling(dwell: Duration) -> LogPlayback {
        let at = |s, event| TimedEvent {
            at: Duration::from_secs(s),
            event,
        };
        let chapters = vec![];
        let started = Event::Started {
            version: LogVersion,
            subject: "s".into(),
            chapters,
            charts: vec![],
        };
        let mut events = vec![at(0, started)];
        events.extend((0..3).map(|i| at(10 * i as u64, Event::Entered { chapter: i })));
        events.push(at(
            30,
            Event::Finished {
                outcome: StoryEnd::Completed,
            },
        ));
        LogPlayback::new(&Log::new(events).unwrap(), dwell)
    }

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn speed_and_pause_change_the_pace() {
        let mut p = playback();
        assert_eq!(p.pass(Duration::ZERO).len(), 2);
        assert_eq!(p.wait(), Some(secs(10)));
        p.press(KeyEffect::Faster);
        assert_eq!(p.wait(), Some(secs(5)));
        assert_eq!((p.pass(secs(4)).len(), p.now()), (0, secs(8)));
        p.press(KeyEffect::Pause);
        assert_eq!(
            (p.pass(secs(99)).len(), p.now(), p.wait()),
            (0, secs(8), None)
        );
        p.press(KeyEffect::Pause);
        assert_eq!(p.pass(secs(1)).len(), 1);
        for _ in 0..9 {
            p.press(KeyEffect::Slower);
        }
        assert_eq!(p.player().speed, 0.25);
        p.pass(secs(1_000));
        assert_eq!((p.now(), p.wait()), (secs(30), None));
    }

    #[test]
    fn short_chapters_are_held() {
        let mut p = dwelling(secs(15));
        assert_eq!(
            p.pass(secs(12)).len(),
            2,
            "the second chapter would come after ten seconds"
        );
        assert_eq!((p.now(), p.wait()), (secs(10), Some(secs(3))));
        assert_eq!(p.pass(secs(4)).len(), 1);
        assert_eq!(p.now(), secs(14));
        assert_eq!((p.pass(secs(6)).len(), p.wait()), (0, Some(secs(5))));
    }

    #[test]
    fn jumps_go_from_chapter_to_chapter() {
        let mut p = playback();
        p.pass(secs(13));
        assert_eq!(
            p.press(KeyEffect::PreviousChapter).map(<[_]>::len),
            Some(3),
            "the beginning of this one"
        );
        assert_eq!(
            p.press(KeyEffect::PreviousChapter).map(<[_]>::len),
            Some(2),
            "the one before"
        );
        assert_eq!(p.press(KeyEffect::PreviousChapter).map(<[_]>::len), Some(1));
        for expected in [2, 3, 4, 5, 5] {
            assert_eq!(
                p.press(KeyEffect::NextChapter).map(<[_]>::len),
                Some(expected)
            );
        }
        assert_eq!(p.enter(1).map(<[_]>::len), Some(3));
        assert_eq!(p.now(), secs(10));
        assert!(p.enter(7).is_none());
        assert_eq!(p.press(KeyEffect::End).map(<[_]>::len), Some(5));
    }
}
