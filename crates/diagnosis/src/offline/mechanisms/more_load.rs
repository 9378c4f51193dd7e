//! More work came in than usual, and the entities that have to do it show it.

use super::vocabulary::*;

/// Load that rises by less is as usual.
const MORE: f64 = 1.3;

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let more = |e: usize| {
        strongest(
            view.lasting(e, &[SignalRole::Demand])
                .filter(|c| rose_by(c.change, MORE)),
        )
    };
    // without anything below there is nothing to pass it on to
    if view.below(entity).is_empty() {
        return None;
    }
    let trigger = more(entity)?;
    let mut case = CauseCandidate::new(entity, Mechanism::MoreLoad, EffectKind::Load, trigger);

    // load that came from elsewhere began elsewhere; where that may be anywhere, it has to be clear
    let from_there = |c: &ChangeRow<'a>| {
        if view.trust.topology {
            view.may_precede(c.change, trigger.change)
        } else {
            c.onset < trigger.earliest()
        }
    };
    let above = view
        .above(entity)
        .into_iter()
        .find_map(|e| more(e).filter(from_there));
    case.expect_no(3.0, above);

    // the entities that have to do the work show it, and not before
    let strained: Vec<ChangeRow<'a>> = view
        .below(entity)
        .into_iter()
        .chain([entity])
        .filter_map(|e| {
            view.unwell(e)
                .find(|c| view.may_precede(trigger.change, c.change))
        })
        .take(MOST_CITED)
        .collect();
    case.supports.extend(strained.iter().map(|c| c.row.id));
    case.expect(2.0, None, Some(!strained.is_empty()));

    case.statement = format!(
        "{} passed on more load than usual: {}",
        name(view, entity),
        its(trigger)
    );
    Some(case)
}
