//! What changed first and furthest up, when no mechanism says more.

use crate::{
    evidence::Role,
    graph::Carries,
    offline::{
        case::{Case, Outcome},
        say::{at, its, name},
        view::{View, earliest, first_of_the_loud, strongest},
    },
    result::Mechanism,
};

pub(super) fn case<'a>(view: &View<'a>, entity: usize) -> Option<Case<'a>> {
    let case = carried(view, entity, Carries::Fault)?;
    let is_load = case.trigger.change.role == Role::Demand;
    if is_load { carried(view, entity, Carries::Load) } else { Some(case) }
}

/// The same where the role of what changed is not known: then it may have been load.
pub(super) fn load<'a>(view: &View<'a>, entity: usize) -> Option<Case<'a>> {
    carried(view, entity, Carries::Load).filter(|case| case.trigger.change.role == Role::Other)
}

fn carried<'a>(view: &View<'a>, entity: usize, carries: Carries) -> Option<Case<'a>> {
    let own = || view.changes(entity).filter(|c| c.change.is_sustained());
    let first = first_of_the_loud(own())?;
    // of what began together, the loudest speaks; a faint wobble before it is cited as well
    let soon = first.change.onset + 3 * first.change.onset_err;
    let trigger = strongest(own().filter(|c| c.change.earliest() <= soon)).unwrap_or(first);
    let mut case = Case::new(entity, Mechanism::Unexplained, carries, trigger);

    // there is always some mechanism: not to know which counts against it
    case.expect(3.0, Outcome::Missed(None));
    case.expect(1.0, Outcome::known(Some(trigger.change.is_sustained())));
    let above = earliest(
        view.graph
            .below(entity)
            .into_iter()
            .flat_map(|e| view.changes(e))
            .filter(|c| c.change.is_sustained() && view.may_precede(c.change, trigger.change))
            .filter(|c| c.change.excess >= trigger.change.excess),
    );
    case.supports.extend(own().filter(|c| c.row.id != trigger.row.id).map(|c| c.row.id));
    case.expect_no(1.5, above);
    case.statement = format!("{} changed first, {}: {}", name(view, entity), at(trigger), its(trigger));
    Some(case)
}
