use std::num::NonZeroU16;

use hyper::StatusCode;
use ratelimiter_api::Outcome;
use ratelimiter_target::StatusSet;

/// The outcome of a check by its HTTP status.
#[derive(Clone, Debug)]
pub struct StatusOutcomes(Vec<Outcome>);

/// Beyond every status.
const END: u16 = 1_000;

impl StatusOutcomes {
    /// Other statuses leave open whether the check was admitted.
    pub fn new(allowed: &StatusSet, denied: &StatusSet, failed: &StatusSet) -> Self {
        let outcome = |code| {
            let Ok(status) = StatusCode::from_u16(code) else {
                return Outcome::Unknown;
            };
            let sets = [
                (denied, Outcome::Denied),
                (failed, Outcome::Failed),
                (allowed, Outcome::Allowed),
            ];
            let known = sets.into_iter().find(|(set, _)| set.has(status));
            known.map_or(Outcome::Unknown, |known| known.1)
        };
        Self((0..END).map(outcome).collect())
    }

    /// The outcome, and the status where it decides nothing; no answer has the status 0.
    pub(super) fn of(&self, text: &str) -> (Outcome, Option<u16>) {
        let code: Option<NonZeroU16> = text.parse().ok();
        let code = code.map_or(0, NonZeroU16::get);
        match self.0.get(usize::from(code)) {
            None | Some(Outcome::Unknown) => (Outcome::Unknown, Some(code)),
            Some(&outcome) => (outcome, None),
        }
    }
}
