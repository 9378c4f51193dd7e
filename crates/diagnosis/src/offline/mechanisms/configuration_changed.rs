//! A configured value changed, and things have been different since.

use super::vocabulary::*;

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let trigger = earliest(
        view.changes(entity)
            .filter(|c| c.role == SignalRole::Setting),
    )?;
    let mut case = CauseCandidate::new(
        entity,
        Mechanism::ConfigurationChanged,
        EffectKind::Load,
        trigger,
    );
    let before = earliest(
        view.entities()
            .flat_map(|e| view.unwell(e))
            .filter(|c| c.onset < trigger.earliest()),
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
