//! One entity no longer reaches a dependency that its peers still reach.

use super::vocabulary::*;

const STUCK: [SignalRole; 3] = [
    SignalRole::ProgressAge,
    SignalRole::ChangeLatency,
    SignalRole::Backlog,
];

/// Whether peers that share a dependency with `entity` get through while it may not.
pub(super) fn peers_get_through(view: &EvidenceView<'_>, entity: usize) -> bool {
    let peers = |d: &usize| {
        view.graph
            .dependants(*d)
            .iter()
            .filter(|&&p| p != entity)
            .copied()
    };
    view.graph
        .dependencies(entity)
        .iter()
        .flat_map(peers)
        .any(|p| {
            view.steady(p, &STUCK).next().is_some()
                && view.strongest(p, &STUCK, Direction::Up).is_none()
        })
}

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    // changes that do not get through pile up, or grow old: the age shows it most directly
    let trigger = STUCK
        .iter()
        .find_map(|role| view.strongest(entity, std::slice::from_ref(role), Direction::Up))?;
    let role = [trigger.change.role];
    let (dependency, peers) = view
        .graph
        .dependencies(entity)
        .iter()
        .map(|&d| {
            let peers: Vec<usize> = view
                .graph
                .dependants(d)
                .iter()
                .copied()
                .filter(|&p| p != entity && view.reports(p, &role))
                .collect();
            (d, peers)
        })
        .max_by_key(|(_, peers)| peers.len())
        .filter(|(_, peers)| !peers.is_empty())?;

    let mut case = CauseCandidate::new(entity, Mechanism::LostPath, EffectKind::Fault, trigger);
    case.also_explains.push(dependency);
    case.supports.extend(
        view.lasting(entity, &STUCK, Direction::Up)
            .map(|c| c.row.id)
            .filter(|id| *id != trigger.row.id),
    );

    let spared: Vec<_> = peers
        .iter()
        .filter_map(|&p| view.steady(p, &role).next())
        .collect();
    let hit = peers
        .iter()
        .find_map(|&p| view.strongest(p, &role, Direction::Up));
    case.expect(
        3.0,
        match hit {
            Some(c) => CaseExpectation::Missed(Some(c.row)),
            None => CaseExpectation::known(if spared.is_empty() { None } else { Some(true) }),
        },
    );

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
    case.expect(
        2.0,
        match (ill, well) {
            (Some(c), _) => CaseExpectation::Missed(Some(c.row)),
            (None, Some(_)) => CaseExpectation::Met(None),
            (None, None) => CaseExpectation::Unknown,
        },
    );

    // more work piles up as well, and says nothing about the way it goes
    case.expect(
        3.0,
        match view.load_rise(entity, trigger.change.onset + trigger.change.onset_err) {
            Some(c) if trigger.change.role == SignalRole::Backlog => {
                CaseExpectation::Missed(Some(c.row))
            }
            _ => CaseExpectation::Met(None),
        },
    );

    case.expect(
        1.0,
        match view.unavailable(entity) {
            Some(c) => CaseExpectation::Missed(Some(c.row)),
            None => CaseExpectation::known(view.answers(entity)),
        },
    );

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
