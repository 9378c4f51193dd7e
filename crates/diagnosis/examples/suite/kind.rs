/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Answers take longer.
    Slow,
    /// Something else takes the processor.
    Hog,
    /// Memory fills, then answers take longer.
    Leak,
    /// Answers nothing.
    Down,
    /// A share of the calls fails.
    Failing,
    /// Takes on work and finishes none.
    Stuck,
    /// Users send several times as many calls.
    Surge,
    /// A configured value is changed.
    Setting,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Slow,
        Self::Hog,
        Self::Leak,
        Self::Down,
        Self::Failing,
        Self::Stuck,
        Self::Surge,
        Self::Setting,
    ];
}
