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
    case.expect(
        1.0,
        match (answering, unseen.is_empty()) {
            (Some((row, _)), _) => CaseExpectation::Missed(Some(row)),
            (None, false) => CaseExpectation::Met(None),
            (None, true) => CaseExpectation::Unknown,
        },
    );
    case.cites.extend(unseen.iter().take(3).map(|row| row.id));

    let back = trigger.change.after.last > 0.5 * trigger.change.before.median;
    let restarted = view
        .changes(entity)
        .find(|c| c.change.role == SignalRole::Uptime && c.change.direction == Direction::Down);
    case.expect(
        2.0,
        match restarted {
            Some(c) if back => CaseExpectation::Missed(Some(c.row)),
            _ => CaseExpectation::Met(None),
        },
    );

    // an entity that loses a dependency turns to its others
    for &dependant in view.graph.dependants(entity) {
        case.also_explains
            .extend_from_slice(view.graph.dependencies(dependant));
    }
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
