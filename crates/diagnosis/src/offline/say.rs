//! Sentences whose every number stands in the row they cite.

use crate::{
    evidence::{Change, Direction, EvidenceRow, SteadySignal, rounded},
    figure::{moment, pair, with, with_unit, word},
    offline::view::{ChangeRow, EvidenceView},
};

/// The name of an entity in a sentence.
pub(super) fn name(view: &EvidenceView<'_>, entity: usize) -> String {
    word(view.evidence.topology.entities[entity].name())
}

/// A unit, which could be taken for a number as well.
fn unit(unit: &str) -> String {
    if unit.chars().any(char::is_numeric) {
        word(unit)
    } else {
        unit.to_owned()
    }
}

/// "at 20.2 s", the moment of a change.
pub(super) fn at(c: ChangeRow<'_>) -> String {
    format!("at {} s", moment(rounded(c.onset)))
}

/// "its lag rose from 0.1 to 9.8 s [E3]"; of a signal that moves anyway, "its total fell to 4
/// instead of 61.5 [E3]".
pub(super) fn its(c: ChangeRow<'_>) -> String {
    let (before, after) = pair(c.before.median, c.extreme());
    let after = with(&after, &unit(&c.unit));
    let moved = match c.before.slope {
        None => format!("from {before} to {after}"),
        Some(_) => format!("to {after} instead of {before}"),
    };
    format!(
        "its {} {} {moved} [{}]",
        word(&c.signal),
        verb(c.change),
        c.row.id
    )
}

fn verb(change: &Change) -> &'static str {
    match (change.direction, change.is_sustained()) {
        (Direction::Up, true) => "rose",
        (Direction::Up, false) => "leapt",
        (Direction::Down, true) => "fell",
        (Direction::Down, false) => "dipped",
    }
}

/// "lag stayed at 0.1 s [E9]".
pub(super) fn held((row, steady): (&EvidenceRow, &SteadySignal)) -> String {
    format!(
        "{} stayed at {} [{}]",
        word(&steady.signal),
        with_unit(steady.median, &unit(&steady.unit)),
        row.id
    )
}

/// "w2's lag stayed at 0.1 s [E9]".
pub(super) fn stayed(view: &EvidenceView<'_>, steady: (&EvidenceRow, &SteadySignal)) -> String {
    format!(
        "{} {}",
        view.evidence.topology.whose(&steady.1.entity),
        held(steady)
    )
}

/// "a, b and c".
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [many @ .., last] => format!("{} and {last}", many.join(", ")),
    }
}
