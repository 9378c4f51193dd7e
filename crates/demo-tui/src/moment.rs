use std::fmt;
use std::str::FromStr;

use demo_core::Event;

/// A moment of a story at which a picture is taken, written as `entered:4`, `settled:4` or `finished`. Chapters count
/// from 1, as on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This chapter was entered.
    Entered(usize),
    /// This chapter's callback is done; never in a chapter without one.
    Settled(usize),
    /// The story has ended.
    Finished,
}

/// The text names no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no moment: say entered:N, settled:N or finished")]
pub struct MomentError(String);

impl Moment {
    /// The moment of an event, if it has one.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Entered { chapter } => Some(Self::Entered(chapter + 1)),
            Event::Settled { chapter } => Some(Self::Settled(chapter + 1)),
            Event::Finished { .. } => Some(Self::Finished),
            _ => None,
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let chapter = |number: &str| number.parse().ok().filter(|n| *n > 0);
        match text.split_once(':') {
            None if text == "finished" => Some(Self::Finished),
            Some(("entered", number)) => chapter(number).map(Self::Entered),
            Some(("settled", number)) => chapter(number).map(Self::Settled),
            _ => None,
        }
        .ok_or_else(|| MomentError(text.to_owned()))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entered(chapter) => write!(f, "entered:{chapter}"),
            Self::Settled(chapter) => write!(f, "settled:{chapter}"),
            Self::Finished => f.write_str("finished"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_is_written() {
        for text in ["entered:1", "settled:11", "finished"] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        }
        for text in ["", "entered", "settled:0", "entered:x", "finished:1", "left:1"] {
            assert!(text.parse::<Moment>().unwrap_err().to_string().contains(&format!("\"{text}\"")));
        }
    }
}
