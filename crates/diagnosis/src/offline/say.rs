//! Sentences whose every number stands in the row they cite.

use crate::{
    evidence::{Change, Direction, Row, Steady, Violation, rounded},
    figure::{figure, with_unit},
    offline::view::Changed,
};

/// A name as it can stand in a sentence: in quotes when it could be taken for a number.
pub(super) fn name(id: &str) -> String {
    if id.chars().any(char::is_alphabetic) { id.to_owned() } else { format!("{id:?}") }
}

/// A value with its unit, which could be taken for a number as well.
fn amount(value: f64, unit: &str) -> String {
    if unit.chars().any(char::is_numeric) { with_unit(value, &name(unit)) } else { with_unit(value, unit) }
}

/// "lag rose from 0.1 to 9.8 s at 20.2 s [E3]"; of what moves anyway, "total fell to 4 instead of 61.5 at 20.2 s [E3]".
pub(super) fn went(c: Changed<'_>) -> String {
    let (signal, verb) = (name(&c.change.signal), verb(c.change));
    let (before, after) = (figure(c.change.before.median), amount(c.change.extreme(), &c.change.unit));
    let moved = match c.change.before.slope {
        None => format!("from {before} to {after}"),
        Some(_) => format!("to {after} instead of {before}"),
    };
    format!("{signal} {verb} {moved} at {} s [{}]", rounded(c.change.onset), c.row.id)
}

/// The same with the entity in front.
pub(super) fn entity_went(c: Changed<'_>) -> String {
    format!("{}'s {}", name(&c.change.entity), went(c))
}

fn verb(change: &Change) -> &'static str {
    match (change.direction, change.is_sustained()) {
        (Direction::Up, true) => "rose",
        (Direction::Up, false) => "leapt",
        (Direction::Down, true) => "fell",
        (Direction::Down, false) => "dipped",
    }
}

/// "w2's lag stayed at 0.1 s [E9]".
pub(super) fn stayed((row, steady): (&Row, &Steady)) -> String {
    format!(
        "{}'s {} stayed at {} [{}]",
        name(&steady.entity),
        name(&steady.signal),
        amount(steady.median, &steady.unit),
        row.id
    )
}

/// "w1 broke no-loss at 21 s: 40 where 2 was allowed [E1]".
pub(super) fn broke((row, v): (&Row, &Violation)) -> String {
    format!(
        "{} broke {} at {} s: {} where {} is in order [{}]",
        name(&v.entity),
        name(&v.invariant),
        rounded(v.t),
        figure(v.observed),
        figure(v.bound),
        row.id
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
