//! An entity no longer holds changes that it had confirmed.

use crate::{
    evidence::{Direction, Role},
    graph::Carries,
    offline::{
        case::{Case, Outcome},
        say::{at, its, name},
        view::{View, strongest},
    },
    result::Mechanism,
};

pub(super) fn case<'a>(view: &View<'a>, entity: usize) -> Option<Case<'a>> {
    let lost = |c: &crate::offline::view::Changed<'a>| {
        c.change.role == Role::Lost && c.change.direction == Direction::Up
    };
    let trigger = strongest(view.changes(entity).filter(lost))?;
    let mut case = Case::new(entity, Mechanism::LostState, Carries::Fault, trigger);
    // that confirmed changes are missing is the whole of it; what is held may be less for a while
    case.expect(4.0, Outcome::Met(None));
    let less = strongest(
        view.changes(entity)
            .filter(|c| c.change.role == Role::Volume && c.change.direction == Direction::Down),
    );
    case.expect_some(1.0, less);
    case.statement = format!(
        "{} lost changes that it had confirmed {}: {}",
        name(view, entity),
        at(trigger),
        its(trigger)
    );
    Some(case)
}
