//! Load rose faster than state propagates, so decisions were taken on stale local state.

use std::time::Duration;

use super::vocabulary::*;
use crate::{
    evidence::{PROPAGATION, rounded},
    figure::short,
};

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let trigger = strongest(
        view.changes(entity)
            .filter(|c| c.role == SignalRole::Demand && rose_by(c.change, SURGE)),
    )?;
    if !view.decides_locally() {
        return None;
    }
    let interval = |e: usize| view.evidence.topology.entities[e].propagation;
    let below = view.graph.below(entity);
    let deciders: Vec<usize> = below
        .iter()
        .copied()
        .chain([entity])
        .filter(|&e| interval(e).is_some())
        .collect();
    let shortest = deciders.iter().filter_map(|&e| interval(e)).min()?;
    let outran = outran(trigger.rise, trigger.onset_err, shortest)?;
    let mut case = CauseCandidate::new(
        entity,
        Mechanism::LoadOutranPropagation,
        EffectKind::Load,
        trigger,
    );
    case.expect(2.0, None, outran.then_some(true));

    // load passed on from elsewhere began elsewhere
    let passed_on = view.graph.above(entity).into_iter().find_map(|e| {
        view.changes(e).find(|c| {
            c.role == SignalRole::Demand
                && c.earliest() <= trigger.onset
                && rose_by(c.change, SURGE)
        })
    });
    case.expect_no(1.5, passed_on);

    // decisions from stale state fall while it is stale: until the next exchange
    let stale_until = trigger.onset + 2 * shortest;
    let reactions = |e: usize| {
        view.changes(e).filter(|c| {
            matches!(
                c.role,
                SignalRole::Throughput
                    | SignalRole::Volume
                    | SignalRole::Backlog
                    | SignalRole::Demand
            ) && c.onset >= trigger.earliest()
        })
    };
    let others = || deciders.iter().copied().filter(|&e| e != entity);
    let reacted: Vec<_> = others()
        .filter_map(|e| strongest(reactions(e).filter(|c| c.earliest() <= stale_until)))
        .collect();
    case.supports.extend(reacted.iter().map(|c| c.row.id));
    let in_time = (!reacted.is_empty()).then_some(true);
    let late = others()
        .find_map(|e| strongest(reactions(e)))
        .filter(|_| in_time.is_none());
    case.expect(1.5, late.map(|c| c.row), in_time);

    // nothing below may have been unwell before: then it was not the load
    let ill = view.unwell_below(entity, trigger.change);
    case.expect_no(3.0, ill);
    // and a stuck dependency keeps state from all, under any load
    let shared = || below.iter().filter(|&&e| interval(e).is_none());
    let stuck = shared().find_map(|&e| {
        view.unwell(e)
            .find(|c| matches!(c.role, SignalRole::ProgressAge | SignalRole::Availability))
    });
    case.expect_no(2.0, stuck);
    let well: Vec<_> = shared()
        .filter_map(|&e| {
            view.steady(
                e,
                &[
                    SignalRole::ProgressAge,
                    SignalRole::Latency,
                    SignalRole::Availability,
                ],
            )
            .next()
        })
        .collect();

    let declared = deciders
        .iter()
        .filter(|&&e| interval(e) == Some(shortest))
        .find_map(|&e| {
            view.steady(e, &[SignalRole::Setting])
                .find(|(_, s)| s.signal == PROPAGATION)
        });
    case.cites.extend(
        well.iter()
            .take(2)
            .map(|s| s.0.id)
            .chain(declared.map(|d| d.0.id)),
    );
    let names: Vec<String> = others().take(4).map(|e| name(view, e)).collect();
    case.statement = format!(
        "{} sent load faster than state propagates {}: {} within {} s",
        name(view, entity),
        at(trigger),
        its(trigger),
        short(rounded(trigger.rise))
    );
    if let Some((row, _)) = declared {
        let who = if names.is_empty() {
            "state is".to_owned()
        } else {
            format!("the state of {} is", list(&names))
        };
        case.statement += &format!(
            ", and {who} exchanged every {} s [{}]",
            short(rounded(shortest)),
            row.id
        );
    }
    Some(case)
}

/// Whether the rise outran the exchange: `Some(true)` when it took no longer, `Some(false)` when
/// the samples are too far apart to tell, `None` when it was slower.
fn outran(rise: Duration, resolution: Duration, interval: Duration) -> Option<bool> {
    if rise <= interval.mul_f64(1.05) {
        Some(true)
    } else if rise <= interval + 2 * resolution {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rise_is_compared_within_sample_resolution() {
        let ms = Duration::from_millis;
        assert_eq!(outran(ms(20), ms(20), ms(200)), Some(true));
        assert_eq!(outran(ms(400), ms(200), ms(200)), Some(false));
        assert_eq!(outran(ms(4_000), ms(200), ms(200)), None);
    }
}
