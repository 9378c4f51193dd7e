//! An entity answers more slowly, and nothing asks more of it.

use super::vocabulary::*;

/// Slower by less than this is not slow.
const SLOWER: f64 = 1.5;
const TIMES: [SignalRole; 2] = [SignalRole::Latency, SignalRole::ChangeLatency];

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let trigger = strongest(
        view.lasting(entity, &TIMES)
            .filter(|c| rose_by(c.change, SLOWER)),
    )?;
    let onset = trigger.onset;
    let mut case = CauseCandidate::new(entity, Mechanism::SlowedDown, EffectKind::Fault, trigger);

    // an entity that waits for something slow is slow as well
    case.expect_no(2.5, view.unwell_below(entity, trigger.change));
    case.expect_no(2.0, view.load_rise(entity, onset));

    case.supports
        .extend(view.lasting(entity, &TIMES).map(|c| c.row.id));
    case.statement = format!(
        "{} slowed down {} without more load: {}",
        name(view, entity),
        at(trigger),
        its(trigger)
    );
    Some(case)
}
