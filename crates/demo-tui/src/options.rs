use std::time::Duration;

/// The options of the screen. [`ScreenOptions::default`] takes all it can from the environment.
#[derive(Clone, Debug, Default)]
pub struct ScreenOptions {
    /// Use of colours.
    pub color: ColorChoice,
    /// Characters that the terminal can draw.
    pub charset: Charset,
    /// Background that the colours must stand out from.
    pub background: Background,
    /// A word or two for the header on the subject's setting, for example "local" or "docker".
    pub mode_label: String,
    /// Few panels and much space between lines, for a projector.
    pub large: bool,
    /// Shortest time for which a chapter of a log is visible. A story that advances by itself
    /// leaves no time to read.
    pub dwell: Duration,
}

/// The use of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// Unless `NO_COLOR` is set to anything but the empty string, or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Colours in any environment.
    Always,
    /// Bold, dim and reverse only. No meaning is by colour alone, so none is lost.
    Never,
}

/// The characters to draw with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// Unicode where the locale (`LC_ALL`, else `LC_CTYPE`, else `LANG`) is UTF-8 and the terminal
    /// is not the Linux console, whose font has no braille.
    #[default]
    Auto,
    /// Lines, blocks and braille.
    Unicode,
    /// Nothing beyond `~`.
    Ascii,
}

/// The terminal's background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// From `COLORFGBG`; dark without it.
    #[default]
    Auto,
    /// Light text on a dark ground.
    Dark,
    /// Dark text on a light ground.
    Light,
}
