//! A dependency accepts no more changes while it still answers reads; or it accepts them, and does
//! not confirm them.

use super::{
    lost_path::{STUCK, peers_get_through},
    vocabulary::*,
};

/// Changes taking this much longer are as good as not accepted, where no age is reported.
const ENDLESS: f64 = 10.0;
/// Reads this much slower still pass.
const STILL_PASSING: f64 = 3.0;

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    // with peers that get through, it is the way from here that is lost, not the entity that
    // stopped
    if view.graph.dependants(entity).is_empty() || peers_get_through(view, entity) {
        return None;
    }
    let trigger = match view.strongest(entity, &[SignalRole::ProgressAge]) {
        Some(_) if view.ages_hold(entity) => return None,
        Some(grown) => grown,
        None => view
            .strongest(entity, &[SignalRole::ChangeLatency])
            .filter(|c| {
                rose_by(c.change, ENDLESS) && !view.reports(entity, &[SignalRole::ProgressAge])
            })?,
    };
    let taken = view.strongest(entity, &[SignalRole::Unconfirmed]);
    let mechanism = if taken.is_some() {
        Mechanism::ConfirmationsLost
    } else {
        Mechanism::StoppedAcceptingChanges
    };
    let mut case = CauseCandidate::new(entity, mechanism, EffectKind::Fault, trigger);

    let reads = view.steady(entity, &[SignalRole::Latency]).next();
    let alive = view.steady(entity, &[SignalRole::Availability]).next();
    let slower = view
        .lasting(entity, &[SignalRole::Latency])
        .find(|c| rose_by(c.change, STILL_PASSING) && c.after.median > 2.0 * c.before.median);
    let down = view.unavailable(entity);
    let passing = reads.or(alive).map(|_| true);
    let passing = passing.or_else(|| view.answers(entity));
    case.expect(3.0, down.or(slower).map(|c| c.row), passing);

    let mut stuck = Vec::new();
    let mut spared = None;
    let mut reporting = 0_usize;
    for &dependant in view.graph.dependants(entity) {
        if !view.reports(dependant, &STUCK) {
            continue;
        }
        reporting += 1;
        match view.strongest(dependant, &STUCK) {
            Some(c) => stuck.push(c),
            None => spared = spared.or(view.steady(dependant, &STUCK).next()),
        }
    }
    let most = (reporting > 0).then_some(stuck.len() * 2 > reporting);
    case.supports.extend(stuck.iter().map(|c| c.row.id));
    let spared = spared.map(|s| s.0).filter(|_| most == Some(false));
    case.expect(4.0, spared, most);

    // an entity that waits for something else has not stopped of itself
    let blocked = view.unwell_below(entity, trigger.change);
    let is_leaf = view.graph.dependencies(entity).is_empty();
    case.expect(1.5, blocked.map(|c| c.row), Some(is_leaf));

    let (id, at) = (name(view, entity), at(trigger));
    let reads = reads
        .or(alive)
        .filter(|_| down.is_none() && slower.is_none());
    case.cites.extend(reads.map(|r| r.0.id));
    if let Some(taken) = taken {
        case.supports.push(taken.row.id);
        case.statement = format!(
            "{id} takes changes whose confirmations do not arrive {at}: {}, while {}",
            its(trigger),
            its(taken)
        );
        return Some(case);
    }
    case.statement = match reads {
        Some(row) => {
            format!(
                "{id} stopped accepting changes {at} while its {}: {}",
                held(row),
                its(trigger)
            )
        }
        None => format!("{id} stopped accepting changes {at}: {}", its(trigger)),
    };
    Some(case)
}
