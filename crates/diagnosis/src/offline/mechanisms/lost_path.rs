//! One entity no longer reaches a dependency that its peers still reach.

use super::vocabulary::*;

/// The roles that grow at an entity whose changes are not accepted, the most direct one first.
pub(super) const STUCK: [SignalRole; 3] = [
    SignalRole::ProgressAge,
    SignalRole::ChangeLatency,
    SignalRole::Backlog,
];

/// The other dependants of a dependency of `entity`.
fn peers(view: &EvidenceView<'_>, entity: usize, dependency: usize) -> impl Iterator<Item = usize> {
    let all = view.graph.dependants(dependency).iter().copied();
    all.filter(move |&p| p != entity)
}

/// Whether peers that share a dependency with `entity` get through while it may not.
pub(super) fn peers_get_through(view: &EvidenceView<'_>, entity: usize) -> bool {
    view.graph
        .dependencies(entity)
        .iter()
        .flat_map(|&d| peers(view, entity, d))
        .any(|p| view.steady(p, &STUCK).next().is_some() && view.strongest(p, &STUCK).is_none())
}

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    // changes that do not get through pile up, or grow old
    let trigger = STUCK
        .iter()
        .find_map(|role| view.strongest(entity, std::slice::from_ref(role)))?;
    let role = [trigger.role];
    let (dependency, peers) = view
        .graph
        .dependencies(entity)
        .iter()
        .map(|&d| {
            let peers = peers(view, entity, d).filter(|&p| view.reports(p, &role));
            (d, peers.collect::<Vec<_>>())
        })
        .max_by_key(|(_, peers)| peers.len())
        .filter(|(_, peers)| !peers.is_empty())?;

    let mut case = CauseCandidate::new(entity, Mechanism::LostPath, EffectKind::Fault, trigger);
    case.also_explains.push(dependency);
    case.supports.extend(
        view.lasting(entity, &STUCK)
            .map(|c| c.row.id)
            .filter(|id| *id != trigger.row.id),
    );

    let spared: Vec<_> = peers
        .iter()
        .filter_map(|&p| view.steady(p, &role).next())
        .collect();
    let hit = peers.iter().find_map(|&p| view.strongest(p, &role));
    let is_alone = (!spared.is_empty()).then_some(true);
    case.expect(3.0, hit.map(|c| c.row), is_alone);

    let ill = view.unwell(dependency).next();
    let well = view
        .steady(
            dependency,
            &[
                SignalRole::Availability,
                SignalRole::Latency,
                SignalRole::ProgressAge,
            ],
        )
        .next();
    case.expect(2.0, ill.map(|c| c.row), well.map(|_| true));

    // more work piles up as well, and is no evidence about the path
    let more = view.load_rise(entity, trigger.onset + trigger.onset_err);
    case.expect_no(3.0, more.filter(|_| trigger.role == SignalRole::Backlog));

    let down = view.unavailable(entity).map(|c| c.row);
    case.expect(1.0, down, view.answers(entity));

    case.cites
        .extend(spared.iter().chain(&well).map(|s| s.0.id));
    let (id, to) = (name(view, entity), name(view, dependency));
    case.statement = format!("{id} lost its path to {to} {}", at(trigger));
    if let Some(peer) = spared.first() {
        case.statement += &format!(", while {}", stayed(view, *peer));
    }
    case.statement += &format!(": {}", its(trigger));
    Some(case)
}
