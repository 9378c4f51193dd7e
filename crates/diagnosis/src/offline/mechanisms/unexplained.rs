//! The entity that changed first and furthest up, when no mechanism fits.

use super::vocabulary::*;

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let trigger = trigger(view, entity)?;
    let is_load = trigger.role == SignalRole::Demand;
    Some(carried(
        view,
        entity,
        if is_load {
            EffectKind::Load
        } else {
            EffectKind::Fault
        },
        trigger,
    ))
}

/// The same where the role of the change is not known: then it may have been load.
pub(super) fn load<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let trigger = trigger(view, entity).filter(|c| c.role == SignalRole::Other)?;
    Some(carried(view, entity, EffectKind::Load, trigger))
}

/// Of the changes that began together, the loudest; a faint wobble before it is cited as well.
fn trigger<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<ChangeRow<'a>> {
    let own = || view.changes(entity).filter(|c| c.is_sustained());
    let first = first_of_the_loud(own())?;
    let soon = first.onset + 3 * first.onset_err;
    strongest(own().filter(|c| c.earliest() <= soon)).or(Some(first))
}

fn carried<'a>(
    view: &EvidenceView<'a>,
    entity: usize,
    carries: EffectKind,
    trigger: ChangeRow<'a>,
) -> CauseCandidate<'a> {
    let mut case = CauseCandidate::new(entity, Mechanism::Unexplained, carries, trigger);

    // there is always some mechanism: not to know which counts against it
    case.expect(3.0, None, Some(false));
    let above = earliest(
        view.graph
            .below(entity)
            .into_iter()
            .flat_map(|e| view.changes(e))
            .filter(|c| c.is_sustained() && view.may_precede(c.change, trigger.change))
            .filter(|c| c.excess >= trigger.excess),
    );
    let own = view
        .changes(entity)
        .filter(|c| c.is_sustained() && c.row.id != trigger.row.id);
    case.supports.extend(own.map(|c| c.row.id));
    case.expect_no(1.5, above);
    case.statement = format!(
        "{} changed first, {}: {}",
        name(view, entity),
        at(trigger),
        its(trigger)
    );
    case
}
