//! The store's side. `ledger.lua` of the node is a transcription of this file; a property test
//! compares the two.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{LeaseTerms, StoreTime};

/// How soon a denied node asks again while grants of others are open, which may be given back
/// unspent.
pub const RECHECK: Duration = Duration::from_millis(50);

/// The least share of the room that is given ahead of the checks. Where less is left, every
/// admission that one node holds unspent is missed by the others.
const SHARED: u64 = 4;

/// All grants of one key that can still hold an admission of its window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrantLedger<Id> {
    pub(crate) grants: BTreeMap<Id, Grant>,
    /// Its newest time.
    pub(crate) last: StoreTime,
    /// When it was found to be lost, if ever.
    pub(crate) lost: Option<StoreTime>,
    retention: Duration,
}

/// One grant as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// Admissions that the grant allows, or after its settlement, that it had.
    pub charge: u32,
    /// When it was given.
    pub given: StoreTime,
    /// The last instant at which it may have been spent.
    pub end: StoreTime,
    /// Whether its node has reported that it will spend no more.
    pub settled: bool,
}

/// Checks that wait on one node for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitingChecks {
    /// Cost of the first: less than this is no use.
    pub need: u32,
    /// How many at the front cost as much as the first, at least 1.
    pub alike: u32,
    /// Cost of all, at least `need` times `alike`.
    pub queued: u32,
}

impl WaitingChecks {
    /// `count` checks of the same cost.
    pub fn alike(need: u32, count: u32) -> Self {
        Self {
            need,
            alike: count,
            queued: need.saturating_mul(count),
        }
    }
}

/// A node's request for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LedgerRequest<Id> {
    /// The grant's name, never used for another.
    pub id: Id,
    /// The checks that wait for it.
    pub waiting: WaitingChecks,
    /// Cost of the checks that the node expects in the next moments.
    pub ahead: u32,
    /// Nodes that share the limit, at least 1.
    pub nodes: u32,
    /// Admissions in the window that no grant covers, for example those of a failure policy.
    pub outside: u64,
}

/// The store's answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantAnswer {
    /// The node may admit.
    Granted {
        /// How much.
        charge: u32,
        /// When it was given.
        given: StoreTime,
        /// Room left under the limit.
        room: u32,
    },
    /// There is no room for the first waiting check.
    Denied {
        /// How long the answer holds: until then, asking again is of no use.
        hold: Duration,
        /// Time until enough charge leaves the window, if none is given back before.
        frees: Duration,
        /// Room left under the limit, less than the need.
        room: u32,
    },
    /// The grant of this name is settled already. Only a late repetition is answered so.
    Closed,
}

impl<Id: Ord + Clone> GrantLedger<Id> {
    /// A ledger without grants, which keeps those that no longer count for another `retention`: an
    /// observer can then ask about a window that ended a moment ago.
    pub fn new(retention: Duration) -> Self {
        Self {
            grants: BTreeMap::new(),
            last: StoreTime::default(),
            lost: None,
            retention,
        }
    }

    /// A ledger in place of one that was lost, whole or in part. It grants nothing until all that
    /// the lost one may have granted has left the window: lease and window.
    pub fn after_loss(now: StoreTime, retention: Duration) -> Self {
        Self {
            last: now,
            lost: Some(now),
            ..Self::new(retention)
        }
    }

    /// Takes a reading of the store's clock, forgets old grants, and returns the ledger's own time,
    /// which stands still where the clock is behind it.
    pub fn advance(&mut self, reading: StoreTime, terms: &LeaseTerms) -> StoreTime {
        let now = self.last.max(reading);
        self.last = now;
        let kept = terms.window() + self.retention;
        self.grants.retain(|_, grant| grant.end + kept > now);
        now
    }

    /// Notes that `id` had `spent` admissions and will have no more. It only ever shrinks a grant,
    /// so that a lost, late or repeated settlement does no harm. A grant that is not there is noted
    /// as closed: its request may still be on its way.
    pub fn settle(&mut self, now: StoreTime, id: &Id, spent: u32) {
        let closed = Grant {
            charge: 0,
            given: now,
            end: now,
            settled: true,
        };
        let grant = self.grants.entry(id.clone()).or_insert(closed);
        grant.charge = grant.charge.min(spent);
        grant.end = grant.end.min(now);
        grant.settled = true;
    }

    /// Whether there is a grant of this name.
    pub fn holds(&self, id: &Id) -> bool {
        self.grants.contains_key(id)
    }

    /// Gives a grant if there is room for the first waiting check: for as many of the waiting
    /// checks as there is surely room for, and beyond them for the expected ones, up to an equal
    /// share of half of the room.
    ///
    /// What is given near the limit is spent whole at once: a part that no waiting check can use
    /// would be missed by others.
    pub fn grant(
        &mut self,
        now: StoreTime,
        terms: &LeaseTerms,
        request: LedgerRequest<Id>,
    ) -> GrantAnswer {
        let learned = self.lost.map(|lost| lost + terms.lease() + terms.window());
        if let Some(learned) = learned.filter(|learned| now < *learned) {
            let left = learned.since(now);
            return GrantAnswer::Denied {
                hold: left,
                frees: left,
                room: 0,
            };
        }
        let charged = self.charged(now, terms) + request.outside;
        let limit = u64::from(terms.limit());
        let room = limit.saturating_sub(charged);
        if let Some(grant) = self.grants.get(&request.id) {
            let (charge, given) = (grant.charge, grant.given);
            return if grant.settled {
                GrantAnswer::Closed
            } else {
                GrantAnswer::Granted {
                    charge,
                    given,
                    room: narrow(room),
                }
            };
        }
        let WaitingChecks {
            need,
            alike,
            queued,
        } = request.waiting;
        if room < need.into() {
            return self.deny(now, terms, &request, charged, narrow(room));
        }
        let (need, alike, queued) = (u64::from(need.max(1)), u64::from(alike), u64::from(queued));
        let waiting = if room >= queued {
            queued
        } else {
            need * alike.min(room / need)
        };
        let share = (room - waiting) / (2 * u64::from(request.nodes));
        let ahead = if share < SHARED {
            0
        } else {
            share.min(request.ahead.into())
        };
        let charge = narrow(waiting + ahead);
        let grant = Grant {
            charge,
            given: now,
            end: now + terms.lease(),
            settled: false,
        };
        self.grants.insert(request.id, grant);
        GrantAnswer::Granted {
            charge,
            given: now,
            room: narrow(room) - charge,
        }
    }

    fn deny(
        &self,
        now: StoreTime,
        terms: &LeaseTerms,
        request: &LedgerRequest<Id>,
        charged: u64,
        room: u32,
    ) -> GrantAnswer {
        let wanted = charged + u64::from(request.waiting.need);
        let limit = u64::from(terms.limit());
        let mut by_end: Vec<_> = self.counted(now, terms).collect();
        by_end.sort_by_key(|grant| grant.end);
        let mut left = 0;
        let enough = |grant: &&Grant| {
            left += u64::from(grant.charge);
            wanted <= limit + left
        };
        let frees = by_end
            .into_iter()
            .find(enough)
            .map(|grant| (grant.end + terms.window()).since(now));
        let frees = frees.unwrap_or(terms.window());
        // Open grants may be given back before they end, and others' admissions leave at times not
        // known here.
        let open: u64 = self
            .counted(now, terms)
            .filter(|g| !g.settled)
            .map(|g| u64::from(g.charge))
            .sum();
        let may_free = open + request.outside;
        let hold = if may_free > 0 && wanted <= limit + may_free {
            frees.min(RECHECK)
        } else {
            frees
        };
        GrantAnswer::Denied { hold, frees, room }
    }

    /// Notes a grant that the store has lost, from a node's memory: still open with `closed`
    /// absent, otherwise closed at least that long ago. It only ever raises a charge or an end.
    pub fn recall(
        &mut self,
        now: StoreTime,
        terms: &LeaseTerms,
        id: &Id,
        charge: u32,
        closed: Option<Duration>,
    ) {
        let end = closed.map_or(now + terms.lease(), |age| now - age);
        // When it was given is forgotten. Early enough to cover every admission that it had.
        let lost = Grant {
            charge,
            given: StoreTime::default(),
            end,
            settled: closed.is_some(),
        };
        let grant = self.grants.entry(id.clone()).or_insert(lost);
        grant.charge = grant.charge.max(charge);
        grant.end = grant.end.max(end);
    }

    /// The sum of charges that count at `now`.
    pub fn charged(&self, now: StoreTime, terms: &LeaseTerms) -> u64 {
        self.counted(now, terms)
            .map(|grant| u64::from(grant.charge))
            .sum()
    }

    fn counted(&self, now: StoreTime, terms: &LeaseTerms) -> impl Iterator<Item = &Grant> {
        self.grants
            .values()
            .filter(move |grant| grant.end + terms.window() > now)
    }
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
