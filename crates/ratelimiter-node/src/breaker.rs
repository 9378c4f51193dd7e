use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ratelimiter_api::StoreCircuit;
use ratelimiter_store::{StoreKind, slot_of};

/// Consecutive failures that open the circuit.
const FAILURES: u32 = 5;
/// Time between two probes of an open circuit.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// Circuits in front of a store cluster. A primary has neighbouring slots, and 256 of them share a
/// circuit.
const PARTS: usize = 64;
/// Slots of a store cluster.
const SLOTS: usize = 16_384;

/// The circuits of a store: one, or in a cluster one for each part of the slots. A primary that is
/// away suspends the checks of its own keys and no others.
#[derive(Debug)]
pub(crate) struct Circuits {
    parts: Vec<Breaker>,
}

impl Circuits {
    pub(crate) fn new(kind: StoreKind) -> Self {
        let parts = if kind == StoreKind::Cluster { PARTS } else { 1 };
        Self {
            parts: (0..parts).map(|_| Breaker::new()).collect(),
        }
    }

    /// The circuit of an entry of the store.
    pub(crate) fn of(&self, entry: &str) -> &Breaker {
        let slot = if self.parts.len() > 1 {
            usize::from(slot_of(entry))
        } else {
            0
        };
        &self.parts[slot * self.parts.len() / SLOTS]
    }

    /// The worst state of any: open, then half-open, then closed.
    pub(crate) fn worst(&self) -> StoreCircuit {
        let has = |state| self.parts.iter().any(|part| part.circuit() == state);
        [StoreCircuit::Open, StoreCircuit::HalfOpen]
            .into_iter()
            .find(|state| has(*state))
            .unwrap_or(StoreCircuit::Closed)
    }
}

/// A circuit breaker in front of the store, after Nygard, "Release It!": once the store has failed
/// several checks in a row, further checks do not wait for it.
///
/// ```text
///            5 failures in a row            250 ms later: one check is a probe
///   Closed ------------------------> Open ----------------------------------> HalfOpen
///     ^                               ^                                          |  |
///     |                               +------------- the probe fails ------------+  |
///     +----------------------------------- the probe is answered -------------------+
/// ```
///
/// A heartbeat that the store confirms closes it too, while reads are prompt: so a pause of writes
/// ends for all checks at once.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { probe_at: Instant },
    HalfOpen,
}

/// Leave to ask the store once. Dropped without a report, as when the caller went away, it leaves
/// the circuit as it was.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    breaker: &'a Breaker,
    probe: bool,
    reported: bool,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of the circuit.
    fn circuit(&self) -> StoreCircuit {
        match *self.state() {
            State::Closed { .. } => StoreCircuit::Closed,
            State::Open { .. } => StoreCircuit::Open,
            State::HalfOpen => StoreCircuit::HalfOpen,
        }
    }

    /// The store is known to take writes promptly: checks ask it again, and one more failure opens
    /// the circuit anew.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        if !matches!(*state, State::Closed { .. }) {
            *state = State::Closed {
                failures: FAILURES - 1,
            };
        }
    }

    /// Leave to ask the store at `now`; none while the circuit is open, or another check probes it.
    pub(crate) fn turn(&self, now: Instant) -> Option<Turn<'_>> {
        let mut state = self.state();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { probe_at } if now >= probe_at => {
                *state = State::HalfOpen;
                true
            }
            State::Open { .. } | State::HalfOpen => return None,
        };
        Some(Turn {
            breaker: self,
            probe,
            reported: false,
        })
    }
}

impl Turn<'_> {
    /// The store answered, or it did not, as of `now`.
    pub(crate) fn report(mut self, answered: bool, now: Instant) {
        self.reported = true;
        let mut state = self.breaker.state();
        let open = State::Open {
            probe_at: now + PROBE_EVERY,
        };
        *state = match (*state, answered) {
            (State::Closed { .. }, true) => State::Closed { failures: 0 },
            (State::Closed { failures }, false) if failures + 1 < FAILURES => State::Closed {
                failures: failures + 1,
            },
            (State::Closed { .. }, false) => {
                tracing::warn!(
                    "the store failed {FAILURES} checks in a row: deciding without it until a \
                     probe is answered"
                );
                open
            }
            (State::HalfOpen, true) if self.probe => {
                tracing::info!("the store answers checks again");
                State::Closed { failures: 0 }
            }
            (State::HalfOpen, false) if self.probe => open,
            // A check from before the circuit opened.
            (other, _) => other,
        };
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.probe && !self.reported {
            *self.breaker.state() = State::Open {
                probe_at: Instant::now(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new();
        for _ in 0..FAILURES {
            breaker.turn(now).unwrap().report(false, now);
        }
        assert_eq!(breaker.circuit(), StoreCircuit::Open);
        breaker
    }

    #[test]
    fn one_part_opens_without_the_others() {
        let (circuits, now) = (Circuits::new(StoreKind::Cluster), Instant::now());
        for _ in 0..FAILURES {
            circuits.of("x{foo}").turn(now).unwrap().report(false, now);
        }
        assert!(circuits.of("y{foo}").turn(now).is_none());
        assert!(circuits.of("bar").turn(now).is_some());
        assert_eq!(circuits.worst(), StoreCircuit::Open);
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        for _ in 0..10 {
            for _ in 1..FAILURES {
                breaker.turn(now).unwrap().report(false, now);
            }
            breaker.turn(now).unwrap().report(true, now);
        }
        assert_eq!(breaker.circuit(), StoreCircuit::Closed);
        assert!(opened(now).turn(now).is_none());
    }

    #[test]
    fn one_check_at_a_time_probes() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + PROBE_EVERY;
        let probe = breaker.turn(later).unwrap();
        assert_eq!(breaker.circuit(), StoreCircuit::HalfOpen);
        assert!(breaker.turn(later).is_none());
        probe.report(false, later);
        assert!(breaker.turn(later).is_none(), "the next probe has to wait");
        breaker
            .turn(later + PROBE_EVERY)
            .unwrap()
            .report(true, later);
        assert_eq!(breaker.circuit(), StoreCircuit::Closed);
    }

    #[test]
    fn one_failure_reopens_it_after_an_early_close() {
        let now = Instant::now();
        let breaker = opened(now);
        breaker.close();
        breaker.turn(now).unwrap().report(false, now);
        assert_eq!(breaker.circuit(), StoreCircuit::Open);
    }

    #[test]
    fn an_abandoned_probe_is_taken_up() {
        let now = Instant::now();
        let breaker = opened(now);
        drop(breaker.turn(now + PROBE_EVERY).unwrap());
        assert!(breaker.turn(Instant::now() + PROBE_EVERY).is_some());
    }

    #[test]
    fn late_reports_do_not_end_a_probe() {
        let now = Instant::now();
        let breaker = Breaker::new();
        let late: Vec<_> = (0..3).map(|_| breaker.turn(now).unwrap()).collect();
        for _ in 0..FAILURES {
            breaker.turn(now).unwrap().report(false, now);
        }
        let _probe = breaker.turn(now + PROBE_EVERY).unwrap();
        late.into_iter().for_each(|turn| turn.report(true, now));
        assert_eq!(breaker.circuit(), StoreCircuit::HalfOpen);
    }
}
