//! An entity answers nothing.

use super::vocabulary::*;

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let trigger = view.unavailable(entity)?;
    let mut case = CauseCandidate::new(
        entity,
        Mechanism::StoppedAnswering,
        EffectKind::Fault,
        trigger,
    );

    // an entity that does not answer cannot be measured either
    let unseen: Vec<_> = view.gaps(entity).map(|g| g.0).collect();
    let answering = view
        .steady(entity, &[SignalRole::Latency, SignalRole::ChangeLatency])
        .next();
    let unmeasured = (!unseen.is_empty()).then_some(true);
    case.expect(1.0, answering.map(|a| a.0), unmeasured);
    case.cites.extend(unseen.iter().take(3).map(|row| row.id));

    let back = trigger.after.last > 0.5 * trigger.before.median;
    let restarted = view.changes(entity).find(|c| c.role == SignalRole::Uptime);
    case.expect_no(2.0, restarted.filter(|_| back));

    // an entity that loses a dependency turns to its others
    case.also_explains = view.graph.siblings(entity);
    case.statement = format!(
        "{} stopped answering {}: {}",
        name(view, entity),
        at(trigger),
        its(trigger)
    );
    if let Some(row) = unseen.first() {
        case.statement += &format!(
            ", and what it measures about itself is missing since [{}]",
            row.id
        );
    }
    Some(case)
}
