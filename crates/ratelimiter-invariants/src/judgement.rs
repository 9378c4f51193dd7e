use std::time::Duration;

use ratelimiter_api::{Key, Limit};

use crate::monitor_memory::MonitorMemory;
use crate::{KeyReading, RoundReading, Subject, ViolationNumbers};

/// The basis of a round's judgements: the round, and the part of earlier rounds that matters.
pub(crate) struct RoundContext<'a> {
    pub(crate) round: &'a RoundReading<'a>,
    pub(crate) memory: &'a MonitorMemory,
}

/// The judgement of one subject in one round. A subject without one is a gap: nothing begins and
/// nothing ends.
pub(crate) struct Judgement {
    pub(crate) subject: Subject,
    pub(crate) condition: Condition,
}

/// Whether an invariant held, with the numbers where it did not.
pub(crate) enum Condition {
    /// The invariant holds.
    Intact,
    /// It is broken.
    Broken(ViolationNumbers),
    /// It is broken, perhaps harmlessly: an active violation goes on, and none is raised while the
    /// excuse lasts.
    Excused(ViolationNumbers, DriftExcuse),
}

/// A drift may be harmless: at least so many admissions are on their way, none of them for longer
/// than the grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DriftExcuse {
    pub(crate) on_their_way: u64,
    pub(crate) limit: Limit,
}

impl DriftExcuse {
    /// Whether a limiter that keeps its limit can have had that many new admissions in each of so
    /// many graces, within `time`.
    pub(crate) fn covers(&self, graces: u32, time: Duration) -> bool {
        let windows = time.as_nanos().div_ceil(self.limit.window().as_nanos());
        u128::from(graces) * u128::from(self.on_their_way)
            <= u128::from(self.limit.admissions()) * windows
    }
}

impl Condition {
    /// Broken by numbers above zero.
    pub(crate) fn of(numbers: ViolationNumbers) -> Self {
        if numbers.extent() > 0 {
            Self::Broken(numbers)
        } else {
            Self::Intact
        }
    }

    /// Broken by a sum above zero. A node that is missing can only make a sum smaller, so it may
    /// break and proves nothing else.
    pub(crate) fn of_sum(numbers: ViolationNumbers, counts: &KeyReading) -> Option<Self> {
        match Self::of(numbers) {
            Self::Intact if !counts.is_whole => None,
            condition => Some(condition),
        }
    }
}

impl RoundContext<'_> {
    /// Judges every key whose counts compare.
    pub(crate) fn judge_keys(
        &self,
        judge: impl Fn(&Self, &Key, &KeyReading) -> Option<Condition>,
    ) -> Vec<Judgement> {
        let judgement = |(key, counts): (&Key, _)| {
            Some(Judgement {
                condition: judge(self, key, counts)?,
                subject: Subject::Key(key.clone()),
            })
        };
        self.round.keys().filter_map(judgement).collect()
    }
}
