use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::Key;

use crate::judgement::{Condition, DriftExcuse, Judgement};
use crate::monitor_memory::seen_of;
use crate::{Invariant, Subject, Violation, ViolationChange, ViolationNumbers};

/// The broken invariants, each with the time since its first round, its peak and its end.
#[derive(Debug, Default)]
pub(crate) struct ViolationTracker {
    round: u64,
    tracks: BTreeMap<(Invariant, Subject), ViolationTrack>,
}

/// A condition from the first round that showed it to the one that shows that it is gone.
#[derive(Debug)]
struct ViolationTrack {
    /// `detected_at` is provisional until it is raised.
    violation: Violation,
    raised: bool,
    /// The part of the time since `first_seen` that counts: between consecutive rounds that showed
    /// it.
    held: Duration,
    /// The latest round that showed it.
    round: u64,
    excused: Option<ExcuseCourse>,
}

/// For how many graces, one after the other, an excuse has been used.
#[derive(Debug)]
struct ExcuseCourse {
    excuse: DriftExcuse,
    since: Duration,
    graces: u32,
    counted_at: Duration,
}

impl ViolationTracker {
    pub(crate) fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Clears the violations of subjects that are gone.
    pub(crate) fn forget(&mut self, is_listed: impl Fn(&Subject) -> bool) -> Vec<ViolationChange> {
        let gone: Vec<_> = self
            .tracks
            .keys()
            .filter(|(_, subject)| !is_listed(subject))
            .cloned()
            .collect();
        gone.iter()
            .filter_map(|key| self.tracks.remove(key)?.clear())
            .collect()
    }

    /// Takes the current round's judgement of one subject: nothing, a beginning, an end, or an end
    /// and a beginning.
    pub(crate) fn apply(
        &mut self,
        invariant: Invariant,
        judgement: Judgement,
        at: Duration,
        grace: Duration,
    ) -> Vec<ViolationChange> {
        let mut changes = Vec::new();
        let key = (invariant, judgement.subject);
        let (evidence, excuse) = match judgement.condition {
            Condition::Intact => {
                changes.extend(self.tracks.remove(&key).and_then(ViolationTrack::clear));
                return changes;
            }
            Condition::Broken(evidence) => (evidence, None),
            Condition::Excused(evidence, excuse) => (evidence, Some(excuse)),
        };
        let goes_on = |track: &ViolationTrack| track.violation.evidence.continues_as(&evidence);
        if self.tracks.get(&key).is_some_and(|track| !goes_on(track)) {
            changes.extend(self.tracks.remove(&key).and_then(ViolationTrack::clear));
        }
        let subject = key.1.clone();
        let track = self
            .tracks
            .entry(key)
            .or_insert_with(|| ViolationTrack::new(invariant, subject, at, evidence.clone()));
        changes.extend(track.hold(self.round, at, evidence, excuse, grace));
        changes
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = &Violation> {
        self.tracks
            .values()
            .filter(|track| track.raised)
            .map(|track| &track.violation)
    }

    /// The keys with a track, those of raised violations first.
    pub(crate) fn suspects(&self) -> impl Iterator<Item = &Key> {
        let of = |raised| {
            self.tracks
                .values()
                .filter(move |track| track.raised == raised)
        };
        of(true)
            .chain(of(false))
            .filter_map(|track| match &track.violation.subject {
                Subject::Key(key) => Some(key),
                Subject::Store | Subject::Node(_) => None,
            })
    }
}

impl ViolationTrack {
    fn new(
        invariant: Invariant,
        subject: Subject,
        at: Duration,
        evidence: ViolationNumbers,
    ) -> Self {
        let violation = Violation {
            invariant,
            severity: invariant.severity(),
            subject,
            first_seen: at,
            detected_at: at,
            last_seen: at,
            peak: evidence.clone(),
            evidence,
        };
        Self {
            violation,
            raised: false,
            held: Duration::ZERO,
            round: 0,
            excused: None,
        }
    }

    fn hold(
        &mut self,
        round: u64,
        at: Duration,
        evidence: ViolationNumbers,
        excuse: Option<DriftExcuse>,
        grace: Duration,
    ) -> Option<ViolationChange> {
        if self.round + 1 == round {
            self.held += seen_of(at.saturating_sub(self.violation.last_seen), grace);
        }
        self.round = round;
        self.violation.last_seen = at;
        if evidence.extent() > self.violation.peak.extent() {
            self.violation.peak = evidence.clone();
        }
        self.violation.evidence = evidence;

        let excused = self.is_excused(at, excuse, grace);
        if self.raised || excused || self.held < grace {
            return None;
        }
        self.raised = true;
        self.violation.detected_at = at;
        Some(ViolationChange::Raised(self.violation.clone()))
    }

    fn is_excused(&mut self, at: Duration, excuse: Option<DriftExcuse>, grace: Duration) -> bool {
        let Some(excuse) = excuse else { return false };
        let excused = match &mut self.excused {
            Some(excused) if excused.excuse == excuse => excused,
            other => other.insert(ExcuseCourse {
                excuse,
                since: at,
                graces: 1,
                counted_at: at,
            }),
        };
        if at.saturating_sub(excused.counted_at) >= grace {
            excused.graces += 1;
            excused.counted_at = at;
        }
        excuse.covers(excused.graces, at.saturating_sub(excused.since) + grace)
    }

    fn clear(self) -> Option<ViolationChange> {
        self.raised
            .then_some(ViolationChange::Cleared(self.violation))
    }
}
