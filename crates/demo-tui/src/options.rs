use std::path::PathBuf;

use ratatui::layout::Size;

use crate::Moment;

/// How a story is to be shown. [`Options::default`] asks the environment for everything it can know.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether to use colours.
    pub color: ColorChoice,
    /// Which characters the terminal can draw.
    pub charset: Charset,
    /// What the colours have to be told apart from.
    pub background: Background,
    /// A word or two for the header on how the subject is run, as "local" or "docker".
    pub mode_label: String,
    /// Records all that is written to the terminal into this file, as an asciicast v2 with a marker a chapter.
    pub record: Option<PathBuf>,
    /// Pictures to be taken of the screen.
    pub pictures: Vec<Picture>,
    /// Draws on a screen of this size that nobody sees instead of the terminal, for recordings and pictures without
    /// one. No keys are read then, and the end is left as soon as it is reached: the story should turn its own pages.
    pub offscreen: Option<Size>,
}

/// A picture of the screen, as SVG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// When it is taken.
    pub when: Moment,
    /// Where it is written.
    pub path: PathBuf,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// Unless `NO_COLOR` is set to anything but the empty string, or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Whatever the environment says.
    Always,
    /// Bold, dim and reverse only. Nothing is told by colour alone, so nothing is lost.
    Never,
}

/// Which characters to draw with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// Unicode where the locale (`LC_ALL`, else `LC_CTYPE`, else `LANG`) says UTF-8 and the terminal is not the Linux
    /// console, whose font has no braille.
    #[default]
    Auto,
    /// Lines, blocks and braille.
    Unicode,
    /// Nothing beyond `~`.
    Ascii,
}

/// What the terminal's background is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// As `COLORFGBG` says, dark where it does not.
    #[default]
    Auto,
    /// Light text on a dark ground.
    Dark,
    /// Dark text on a light ground.
    Light,
}
