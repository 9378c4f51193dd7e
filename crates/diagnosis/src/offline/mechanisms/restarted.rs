//! An entity started again, and its state in memory is gone.

use super::vocabulary::*;

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let trigger =
        strongest(view.changes(entity).filter(|c| {
            c.change.role == SignalRole::Uptime && c.change.direction == Direction::Down
        }))?;
    let mut case = CauseCandidate::new(entity, Mechanism::Restarted, EffectKind::Fault, trigger);

    let down = view.unavailable(entity);
    let back = down.is_none_or(|c| c.change.after.last > 0.5 * c.change.before.median);
    case.supports
        .extend(down.filter(|_| back).map(|c| c.row.id));
    case.expect(
        2.0,
        if back {
            CaseExpectation::Met(None)
        } else {
            CaseExpectation::Missed(down.map(|c| c.row))
        },
    );

    let lost = strongest(view.changes(entity).filter(|c| {
        matches!(c.change.role, SignalRole::Volume | SignalRole::Backlog)
            && c.change.direction == Direction::Down
    }));
    let kept = view.steady(entity, &[SignalRole::Volume]).next();
    case.expect(
        1.0,
        match (lost, kept) {
            (Some(c), _) => CaseExpectation::Met(Some(c.row)),
            (None, Some((row, _))) => CaseExpectation::Missed(Some(row)),
            (None, None) => CaseExpectation::Unknown,
        },
    );
    for &dependant in view.graph.dependants(entity) {
        case.also_explains
            .extend_from_slice(view.graph.dependencies(dependant));
    }

    let (id, at) = (name(view, entity), at(trigger));
    case.statement = match lost {
        Some(c) => format!(
            "{id} restarted {at} and lost state: {}, and {}",
            its(trigger),
            its(c)
        ),
        None => format!("{id} restarted {at}: {}", its(trigger)),
    };
    Some(case)
}
