//! An entity started again, and its state in memory is gone.

use super::vocabulary::*;

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let trigger = strongest(
        view.changes(entity)
            .filter(|c| c.role == SignalRole::Uptime),
    )?;
    let mut case = CauseCandidate::new(entity, Mechanism::Restarted, EffectKind::Fault, trigger);

    let down = view.unavailable(entity);
    let back = down.is_none_or(|c| c.after.last > 0.5 * c.before.median);
    case.supports
        .extend(down.filter(|_| back).map(|c| c.row.id));
    case.expect_no(2.0, down.filter(|_| !back));

    let lost = strongest(
        view.changes(entity)
            .filter(|c| c.role == SignalRole::Volume && c.direction == Direction::Down),
    );
    let kept = view.steady(entity, &[SignalRole::Volume]).next();
    case.supports.extend(lost.map(|c| c.row.id));
    let kept = kept.map(|k| k.0).filter(|_| lost.is_none());
    case.expect(1.0, kept, lost.map(|_| true));
    case.also_explains = view.graph.siblings(entity);

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
