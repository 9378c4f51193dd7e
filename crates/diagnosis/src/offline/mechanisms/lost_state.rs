//! An entity no longer holds changes that it had confirmed.

use super::vocabulary::*;

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let lost = |c: &ChangeRow<'a>| c.role == SignalRole::Lost;
    let trigger = strongest(view.changes(entity).filter(lost))?;
    let mut case = CauseCandidate::new(entity, Mechanism::LostState, EffectKind::Fault, trigger);
    // that confirmed changes are missing is the whole of it
    case.expect(4.0, None, Some(true));
    case.statement = format!(
        "{} lost changes that it had confirmed {}: {}",
        name(view, entity),
        at(trigger),
        its(trigger)
    );
    Some(case)
}
