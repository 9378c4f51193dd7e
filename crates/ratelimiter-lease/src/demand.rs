use std::time::Duration;

use crate::NodeTime;

/// How much one key is asked for on one node: the cost of the checks in the last whole
/// [`SPAN`](DemandMeter::SPAN).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct DemandMeter {
    began: NodeTime,
    current: u32,
    last: u32,
}

impl DemandMeter {
    /// A grant is meant to last for this long. Shorter asks the store more often, longer holds back
    /// more unspent charge.
    pub(crate) const SPAN: Duration = Duration::from_millis(50);

    /// Notes a check.
    pub(crate) fn note(&mut self, now: NodeTime, cost: u32) {
        self.turn(now);
        self.current = self.current.saturating_add(cost);
    }

    /// The cost to expect in the next span.
    pub(crate) fn expected(&mut self, now: NodeTime) -> u32 {
        self.turn(now);
        self.last
    }

    fn turn(&mut self, now: NodeTime) {
        let age = now.since(self.began);
        if age >= Self::SPAN {
            self.last = if age < Self::SPAN * 2 {
                self.current
            } else {
                0
            };
            self.current = 0;
            self.began = now;
        }
    }
}
