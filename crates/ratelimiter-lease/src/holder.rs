//! The node's side.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::demand::DemandMeter;
use crate::{GrantAnswer, LeaseTerms, NodeTime, StoreTime, WaitingChecks};

/// Refilled before they run out are only grants of at least this charge: near the limit every
/// unspent admission that is held here is missed elsewhere.
const REFILLED: u32 = 4;

/// One key's grants on one node. Grants are named by numbers, which are never used twice in one
/// life of the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrantHolder {
    terms: LeaseTerms,
    held: VecDeque<OpenGrant>,
    asked: Option<PendingRequest>,
    denied: Option<LastDenial>,
    /// Settlements that the store has not confirmed: the charge and the part of it that was spent.
    settling: BTreeMap<u64, Settlement>,
    closed: VecDeque<ClosedGrants>,
    demand: DemandMeter,
    room: Option<u32>,
}

/// A grant that can be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OpenGrant {
    number: u64,
    charge: u32,
    spent: u32,
    /// When the request for it left.
    sent: NodeTime,
    /// When the grant was there.
    received: NodeTime,
    given: StoreTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PendingRequest {
    number: u64,
    sent: NodeTime,
    need: u32,
    /// The largest charge that the answer may bring.
    most: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct LastDenial {
    cost: u32,
    until: NodeTime,
    frees: NodeTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Settlement {
    charge: u32,
    spent: u32,
}

/// Grants that were closed, for as long as their admissions are in the window. Named by the last of
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ClosedGrants {
    number: u64,
    spent: u32,
    /// When the first of the grants that are counted together was closed, and the last.
    since: NodeTime,
    at: NodeTime,
}

/// A node's own answer to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendResult {
    /// Admitted, from a grant.
    Admitted {
        /// An instant that is not after the admission, and within its grant.
        at: StoreTime,
    },
    /// Denied: the store denied as little, and its answer still holds.
    Denied {
        /// Time until there is room, if none is given back before.
        frees: Duration,
    },
    /// The store has to be asked.
    Ask,
}

/// A message to the store: settlements, and a request for a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderMessage {
    /// The number of the grant.
    pub number: u64,
    /// As in [`LedgerRequest`](crate::LedgerRequest).
    pub waiting: WaitingChecks,
    /// As in [`LedgerRequest`](crate::LedgerRequest).
    pub ahead: u32,
}

/// A grant as reported to a store that has lost its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantRecall {
    /// The number of the grant.
    pub number: u64,
    /// The charge of an open grant, or the part that was spent of a closed one.
    pub charge: u32,
    /// How long ago it was closed at least, on the store's clock; absent while it is open.
    pub closed: Option<Duration>,
}

impl GrantHolder {
    /// A node without grants.
    pub fn new(terms: LeaseTerms) -> Self {
        Self {
            terms,
            held: VecDeque::new(),
            asked: None,
            denied: None,
            settling: BTreeMap::new(),
            closed: VecDeque::new(),
            demand: DemandMeter::default(),
            room: None,
        }
    }

    /// Goes on under other terms. The grants that it holds end as they were given.
    pub fn change(&mut self, terms: LeaseTerms) {
        if terms != self.terms {
            self.terms = terms;
            self.denied = None;
        }
    }

    /// Notes a new check, for the size of grants.
    pub fn note(&mut self, now: NodeTime, cost: u32) {
        self.demand.note(now, cost);
    }

    /// Spends one check's cost if a grant covers it.
    pub fn spend(&mut self, now: NodeTime, cost: u32) -> SpendResult {
        self.expire(now);
        if let Some(place) = self
            .held
            .iter()
            .position(|held| held.charge - held.spent >= cost)
        {
            let held = &mut self.held[place];
            held.spent += cost;
            // The store gave it before the answer was here, and its clock has advanced by at least
            // this since.
            let at = held.given + self.terms.at_least(now.since(held.received));
            if held.spent == held.charge {
                self.close(place, now);
            }
            return SpendResult::Admitted { at };
        }
        match self.denied {
            Some(denied) if denied.cost <= cost && now < denied.until => SpendResult::Denied {
                frees: denied.frees.since(now),
            },
            _ => SpendResult::Ask,
        }
    }

    /// Whether to ask for the next grant now, before this one runs out.
    pub fn wants_refill(&self, now: NodeTime) -> bool {
        let denied = self.denied.is_some_and(|denied| now < denied.until);
        let low = |held: &OpenGrant| held.charge >= REFILLED && self.unspent() <= held.charge / 2;
        !denied && self.asked.is_none() && self.held.back().is_some_and(low)
    }

    /// Whether an answer of the store is still awaited.
    pub fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Asks for a grant, with a number that was never used. Grants that are too small for the first
    /// waiting check are given back with the same message, so that their charge is not missing.
    /// Without waiting checks it is a refill.
    pub fn ask(
        &mut self,
        now: NodeTime,
        number: u64,
        waiting: Option<WaitingChecks>,
    ) -> HolderMessage {
        self.expire(now);
        if waiting.is_some_and(|waiting| self.unspent() < waiting.need) {
            self.close_all(now);
        }
        let ahead = self.demand.expected(now);
        let waiting = waiting.unwrap_or(WaitingChecks::alike(1, 1));
        let most = waiting.queued.saturating_add(ahead);
        self.asked = Some(PendingRequest {
            number,
            sent: now,
            need: waiting.need,
            most,
        });
        HolderMessage {
            number,
            waiting,
            ahead,
        }
    }

    /// The settlements that the store has not confirmed: number and spent part.
    pub fn settlements(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.settling
            .iter()
            .map(|(number, settling)| (*number, settling.spent))
    }

    /// The store has confirmed a settlement.
    pub fn settled(&mut self, number: u64) {
        self.settling.remove(&number);
    }

    /// The newest grant that the store must still have, unless it has lost its state.
    pub fn newest(&self, now: NodeTime) -> Option<u64> {
        let window = self.terms.at_least(self.terms.window());
        let held = self.held.back().map(|held| (held.number, held.sent));
        let closed = self.closed.back().map(|closed| (closed.number, closed.at));
        held.into_iter()
            .chain(closed)
            .find(|(_, at)| now.since(*at) < window)
            .map(|(number, _)| number)
    }

    /// Takes the answer to [`ask`](Self::ask). One that is no longer awaited is of no effect.
    pub fn answered(&mut self, now: NodeTime, number: u64, answer: GrantAnswer) {
        let Some(asked) = self.asked.take_if(|asked| asked.number == number) else {
            return;
        };
        match answer {
            GrantAnswer::Granted {
                charge,
                given,
                room,
            } => {
                self.denied = None;
                self.room = Some(room);
                let held = OpenGrant {
                    number,
                    charge,
                    spent: 0,
                    sent: asked.sent,
                    received: now,
                    given,
                };
                self.held.push_back(held);
                self.expire(now);
            }
            GrantAnswer::Denied { hold, frees, room } => {
                self.room = Some(room);
                self.denied = Some(LastDenial {
                    cost: asked.need,
                    until: now + hold,
                    frees: now + frees,
                });
            }
            GrantAnswer::Closed => {}
        }
    }

    /// Gives up waiting for an answer. The grant may have been given all the same, so that it is
    /// settled as unspent.
    pub fn give_up(&mut self, number: u64) {
        if let Some(asked) = self.asked.take_if(|asked| asked.number == number) {
            self.settling.insert(
                number,
                Settlement {
                    charge: asked.most,
                    spent: 0,
                },
            );
        }
    }

    /// Takes back a request that was never sent, so that no grant can have been given for it.
    pub fn withdraw(&mut self, number: u64) {
        self.asked.take_if(|asked| asked.number == number);
    }

    /// Gives back grants that are older than the time for which they were meant. True when there is
    /// something to settle.
    pub fn tick(&mut self, now: NodeTime) -> bool {
        self.expire(now);
        while self
            .held
            .front()
            .is_some_and(|held| now.since(held.received) >= DemandMeter::SPAN)
        {
            self.close(0, now);
        }
        !self.settling.is_empty()
    }

    /// Gives back everything, as a node does that stops.
    pub fn close_all(&mut self, now: NodeTime) {
        while !self.held.is_empty() {
            self.close(0, now);
        }
    }

    /// The grants to report to a store that has lost its state. Its earlier denials no longer hold.
    pub fn recall(&mut self, now: NodeTime) -> Vec<GrantRecall> {
        self.expire(now);
        self.denied = None;
        let open = self.held.iter().map(|held| GrantRecall {
            number: held.number,
            charge: held.charge,
            closed: None,
        });
        let closed = self.closed.iter().map(|closed| GrantRecall {
            number: closed.number,
            charge: closed.spent,
            closed: Some(self.terms.at_least(now.since(closed.at))),
        });
        closed.chain(open).collect()
    }

    /// Charge that this node holds and has not spent.
    pub fn unspent(&self) -> u32 {
        self.held.iter().map(|held| held.charge - held.spent).sum()
    }

    /// Unspent charge that was given back, but not yet to the store's knowledge.
    pub fn stranded(&self) -> u32 {
        self.settling
            .values()
            .map(|settling| settling.charge - settling.spent)
            .sum()
    }

    /// Room under the limit at the store's last answer.
    pub fn room(&self) -> Option<u32> {
        self.room
    }

    /// Whether nothing is held, awaited or to be settled.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty() && self.asked.is_none() && self.settling.is_empty()
    }

    /// Stops spending grants that may have ended in the store, and forgets those that have left the
    /// window.
    fn expire(&mut self, now: NodeTime) {
        let usable = self.terms.usable();
        while self
            .held
            .front()
            .is_some_and(|held| now >= held.sent + usable)
        {
            self.close(0, now);
        }
        let left = |closed: &ClosedGrants| {
            self.terms.at_least(now.since(closed.at)) >= self.terms.window()
        };
        while self.closed.front().is_some_and(left) {
            self.closed.pop_front();
        }
    }

    fn close(&mut self, place: usize, now: NodeTime) {
        let Some(OpenGrant {
            number,
            charge,
            spent,
            ..
        }) = self.held.remove(place)
        else {
            return;
        };
        self.settling.insert(number, Settlement { charge, spent });
        if spent == 0 {
            return;
        }
        // Neighbours become one, so that what is remembered does not grow with the rate: the later
        // end is the safe one.
        let together = self.terms.window() / 256;
        match self.closed.back_mut() {
            Some(last) if now.since(last.since) < together => {
                *last = ClosedGrants {
                    number,
                    spent: last.spent + spent,
                    at: now,
                    ..*last
                };
            }
            _ => self.closed.push_back(ClosedGrants {
                number,
                spent,
                since: now,
                at: now,
            }),
        }
    }
}

#[cfg(test)]
impl GrantHolder {
    pub(crate) fn terms(&self) -> LeaseTerms {
        self.terms
    }

    pub(crate) fn asked_number(&self) -> Option<u64> {
        self.asked.map(|asked| asked.number)
    }

    /// Drops the state that no admission depends on.
    pub(crate) fn forget_history(&mut self) {
        self.closed.clear();
        self.demand = DemandMeter::default();
        self.denied = None;
        self.room = None;
    }

    /// Counts the lease of the awaited and the newest held grant from now: a fault. Returns the
    /// number of the newest grant held.
    pub(crate) fn renew(&mut self, now: NodeTime) -> Option<u64> {
        self.expire(now);
        if let Some(asked) = &mut self.asked {
            asked.sent = now;
        }
        self.held.back_mut().map(|held| {
            held.sent = now;
            held.number
        })
    }
}
