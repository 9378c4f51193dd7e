//! When to draw: at once after a key, soon after anything else, never more than about twenty times
//! a second.

use std::time::Duration;

/// Keys pressed faster than this share a frame.
const AFTER_KEY: Duration = Duration::from_millis(50);
/// Other changes wait for this long after any frame, so that a key always finds room.
const AFTER_FRAME: Duration = Duration::from_millis(100);

/// Decides the time of the next frame. Its times are those of any clock that only goes forward.
#[derive(Debug, Default)]
pub(crate) struct FrameTimer {
    last: Option<Duration>,
    last_for_key: Option<Duration>,
    changed: bool,
    pressed: bool,
}

impl FrameTimer {
    /// Something changed.
    pub(crate) fn changed(&mut self) {
        self.changed = true;
    }

    /// Something changed because of a key.
    pub(crate) fn pressed(&mut self) {
        self.pressed = true;
    }

    /// When the next frame is due, if anything is to be drawn.
    pub(crate) fn due(&self) -> Option<Duration> {
        let after = |frame: Option<Duration>, pause| frame.map_or(Duration::ZERO, |at| at + pause);
        if self.pressed {
            Some(after(self.last_for_key, AFTER_KEY))
        } else if self.changed {
            Some(after(self.last, AFTER_FRAME))
        } else {
            None
        }
    }

    /// A frame was drawn.
    pub(crate) fn drawn(&mut self, now: Duration) {
        self.last = Some(now);
        if self.pressed {
            self.last_for_key = Some(now);
        }
        (self.changed, self.pressed) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn keys_are_drawn_at_once_and_others_wait() {
        let mut timer = FrameTimer::default();
        assert_eq!(timer.due(), None);
        timer.changed();
        assert_eq!(timer.due(), Some(ms(0)));
        timer.drawn(ms(1_000));
        timer.changed();
        assert_eq!(timer.due(), Some(ms(1_100)));
        timer.pressed();
        assert!(timer.due() <= Some(ms(1_000)), "at once");
        timer.drawn(ms(1_010));
        timer.pressed();
        assert_eq!(timer.due(), Some(ms(1_060)));
    }

    proptest! {
        #[test]
        fn frames_stay_near_twenty_per_second(
            events in proptest::collection::vec((0u64..40, any::<bool>()), 1..400),
        ) {
            let mut timer = FrameTimer::default();
            let (mut now, mut frames) = (0, Vec::new());
            for (pause, key) in events {
                for _ in 0..=pause {
                    if timer.due().is_some_and(|due| due <= ms(now)) {
                        timer.drawn(ms(now));
                        frames.push(now);
                    }
                    now += 1;
                }
                if key { timer.pressed() } else { timer.changed() }
            }
            for (i, first) in frames.iter().enumerate() {
                let second = frames[i..].iter().take_while(|at| **at < first + 1_000).count();
                prop_assert!(second <= 21, "{second} frames in one second");
            }
        }
    }
}
