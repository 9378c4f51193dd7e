use ratelimiter_api::Limit;
use std::time::Duration;

use crate::Subject;

/// The judgement of one subject in one round. A subject without one is a gap: nothing begins and
/// nothing ends.
pub(crate) struct Judgement<E> {
    pub(crate) subject: Subject,
    pub(crate) condition: Condition<E>,
}

/// Whether an invariant held, with the numbers where it did not.
pub(crate) enum Condition<E> {
    /// The invariant holds.
    Intact,
    /// It is broken.
    Broken(E),
    /// It is broken, perhaps harmlessly: an active violation goes on, and none is raised while the
    /// excuse lasts.
    Excused(E, Excuse),
}

/// A drift may be harmless: at least so many admissions are on their way, none of them for longer
/// than the grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Excuse {
    pub(crate) on_their_way: u64,
    pub(crate) limit: Limit,
}

impl Excuse {
    /// Whether a limiter that keeps its limit can have had that many new admissions in each of so
    /// many graces, within `time`.
    pub(crate) fn covers(&self, graces: u32, time: Duration) -> bool {
        let windows = time.as_nanos().div_ceil(self.limit.window().as_nanos());
        u128::from(graces) * u128::from(self.on_their_way)
            <= u128::from(self.limit.admissions()) * windows
    }
}

impl<E> Judgement<E> {
    /// The same judgement, with its numbers in another type.
    pub(crate) fn map<T>(self, numbers: impl FnOnce(E) -> T) -> Judgement<T> {
        let condition = match self.condition {
            Condition::Intact => Condition::Intact,
            Condition::Broken(evidence) => Condition::Broken(numbers(evidence)),
            Condition::Excused(evidence, excuse) => Condition::Excused(numbers(evidence), excuse),
        };
        Judgement {
            subject: self.subject,
            condition,
        }
    }
}
