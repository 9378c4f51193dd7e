//! An entity no longer holds changes that it had confirmed.

use super::vocabulary::*;

pub(super) fn case<'a>(view: &View<'a>, entity: usize) -> Option<Case<'a>> {
    let lost = |c: &Changed<'a>| c.change.role == Role::Lost && c.change.direction == Direction::Up;
    let trigger = strongest(view.changes(entity).filter(lost))?;
    let mut case = Case::new(entity, Mechanism::LostState, Carries::Fault, trigger);
    // that confirmed changes are missing is the whole of it
    case.expect(4.0, Outcome::Met(None));
    case.statement = format!(
        "{} lost changes that it had confirmed {}: {}",
        name(view, entity),
        at(trigger),
        its(trigger)
    );
    Some(case)
}
