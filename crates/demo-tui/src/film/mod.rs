//! Pictures and recordings of a log, without a terminal.

mod cast;
mod frames;

use std::time::Duration;

use demo_core::Log;
use ratatui::buffer::Buffer;
use ratatui::layout::Size;

use crate::{Background, ScreenOptions, svg};

/// Time between two frames of a cast: a terminal shows no more.
const CAST: Duration = Duration::from_millis(100);
/// Time between two frames of a moving picture, whose size grows with them.
const PICTURE: Duration = Duration::from_millis(500);

/// A log as it looks on a screen of one size, from its first event to its last.
///
/// ```
/// use demo_core::{Event, Log, LogVersion, TimedEvent};
/// use demo_tui::{Film, ScreenOptions, Size};
///
/// let (chapters, charts) = (vec![], vec![]);
/// let subject = "a glass".into();
/// let started = Event::Started { version: LogVersion, subject, chapters, charts };
/// let log = Log::new(vec![TimedEvent { at: Default::default(), event: started }])?;
/// let options = ScreenOptions::default();
/// let film = Film::new(&log, Size::new(80, 24), &options);
/// assert!(film.cast().contains("\"version\":2"));
/// # Ok::<(), demo_core::LogError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Film<'a> {
    log: &'a Log,
    size: Size,
    options: &'a ScreenOptions,
}

/// A screen worth a picture.
#[derive(Clone, Debug)]
pub struct FilmStill {
    /// The chapter whose end this is, from 1; `None` for the end of the story.
    pub chapter: Option<usize>,
    /// The picture, as SVG.
    pub svg: String,
}

impl<'a> Film<'a> {
    /// A film of the log at its recorded pace. The last screen of each chapter is held until the
    /// chapter has been visible for [`ScreenOptions::dwell`]. Like [`Offscreen`](crate::Offscreen),
    /// it ignores the environment.
    pub fn new(log: &'a Log, size: Size, options: &'a ScreenOptions) -> Self {
        Self { log, size, options }
    }

    /// An asciicast v2 with one marker per chapter.
    pub fn cast(&self) -> String {
        cast::cast(&self.frames(CAST), self.size)
    }

    /// A moving picture, as an SVG without scripts.
    pub fn svg(&self) -> String {
        let frames = self.frames(PICTURE);
        let end = frames.last().map(|frame| frame.at).unwrap_or_default()
            + self.options.dwell.max(PICTURE);
        let screens: Vec<(Duration, Buffer)> = frames
            .into_iter()
            .map(|frame| (frame.at, frame.screen))
            .collect();
        svg::moving(&screens, end, self.is_light())
    }

    /// The screen at the end of each chapter, and at the end of the story.
    pub fn stills(&self) -> Vec<FilmStill> {
        let light = self.is_light();
        let ends = frames::ends(self.log, self.size, self.options);
        ends.into_iter()
            .map(|(chapter, screen)| FilmStill {
                chapter,
                svg: svg::svg(&screen, light),
            })
            .collect()
    }

    fn frames(&self, every: Duration) -> Vec<frames::FilmFrame> {
        frames::frames(self.log, self.size, self.options, every)
    }

    fn is_light(&self) -> bool {
        self.options.background == Background::Light
    }
}
