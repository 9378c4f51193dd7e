//! The words that every mechanism is written in.

pub(super) use crate::{
    evidence::{Direction, SignalRole},
    graph::EffectKind,
    offline::{
        case::{CauseCandidate, MOST_CITED},
        say::{at, held, its, list, name, stayed},
        view::{ChangeRow, EvidenceView, SURGE, earliest, first_of_the_loud, rose_by, strongest},
    },
    result::Mechanism,
};
