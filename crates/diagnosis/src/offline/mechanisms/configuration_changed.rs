//! A configured value changed, and things have been different since.

use super::vocabulary::*;

pub(super) fn case<'a>(view: &View<'a>, entity: usize) -> Option<Case<'a>> {
    let trigger = earliest(
        view.changes(entity)
            .filter(|c| c.change.role == Role::Setting),
    )?;
    let mut case = Case::new(
        entity,
        Mechanism::ConfigurationChanged,
        Carries::Load,
        trigger,
    );
    let before = earliest(
        view.entities()
            .flat_map(|e| view.unwell(e))
            .filter(|c| c.change.onset < trigger.change.earliest()),
    );
    case.expect_no(3.0, before);

    case.statement = format!(
        "the configuration of {} changed {}: {}",
        name(view, entity),
        at(trigger),
        its(trigger)
    );
    Some(case)
}
