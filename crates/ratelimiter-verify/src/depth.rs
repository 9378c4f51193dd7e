use std::time::Duration;

/// Time that a verification may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanDepth {
    /// At most about a minute.
    #[default]
    Quick,
    /// At most about fifteen minutes.
    Thorough,
    /// At most so long; the phases are repeated on new keys as often as they fit.
    Repeated(Duration),
}

impl PlanDepth {
    pub(crate) fn budget(self) -> Duration {
        match self {
            Self::Quick => Duration::from_secs(60),
            Self::Thorough => Duration::from_secs(900),
            Self::Repeated(time) => time,
        }
    }
}
