//! The words that every mechanism is written in.

pub(super) use crate::{
    evidence::{Direction, Role},
    graph::Carries,
    offline::{
        case::{Case, MOST_CITED, Outcome},
        say::{at, held, its, list, name, stayed},
        view::{Changed, SURGE, View, earliest, first_of_the_loud, rose_by, strongest},
    },
    result::Mechanism,
};
