//! The detection of admissions that the store lost, and their way back.
//!
//! # One admission
//!
//! ```text
//!   admitted by this node                       admitted by the store
//!        | add_unsynced                              | add_synced
//!        v                                           v
//!   to be sent ----- send ----> sent --- confirm --> confirmed
//!        ^                                           |   ^
//!        |                       the store lacks one |   |
//!        |                     that it had confirmed |   | it has this one
//!        |                                   (doubt) v   | (settle)
//!        +---- it lacks this one: lost (settle) ---- doubted
//!                                                       asked for by name (doubts)
//! ```
//!
//! What is to be sent, sent or doubted is *unconfirmed*: the node counts it beside the store's
//! count. What is lost is to be sent again under its name, and is counted as lost besides.
//!
//! # One question
//!
//! The node asks the store for three of its admissions by name, with every check, flush and
//! refresh. They stand for all the others:
//!
//! ```text
//!   confirmed              sent, not confirmed    to be sent               time ->
//!   --------------------|----------------------|----------------------
//!       newest_confirmed ^            last_sent ^               newest ^
//!
//!   missing in the store:  there:                 there:
//!   it has lost some       all sent arrived       everything arrived
//! ```
//!
//! - The newest confirmed one is asked for before anything else is confirmed. So a confirmation
//!   after a loss never hides the admissions that were lost.
//! - A batch arrives in one step and in order. So where its last admission is, the ones before it
//!   are too. The newest of all may arrive before the question does.
//!
//! A node without a confirmed admission in the window has none to ask for, and does not find out.
//! So a loss is bounded by what each process remembers, not by what the store counts.

use super::{Admission, AdmissionLog};

/// A node's own admissions in a window, by their state in the store. Admissions are named by their
/// sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnAdmissions {
    pub(crate) confirmed: u64,
    pub(crate) newest_confirmed: Option<u64>,
    /// Sent to the store, which has not confirmed them.
    pub(crate) sent: u64,
    pub(crate) last_sent: Option<u64>,
    /// Sent, to be sent, and doubted.
    pub(crate) unconfirmed: u64,
    /// Confirmed before the store lost some, and not asked for since.
    pub(crate) doubted: u64,
    pub(crate) newest: Option<u64>,
}

/// The unconfirmed admissions that the store has all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Nothing,
    Sent,
    Everything,
}

impl OwnAdmissions {
    /// The three that the store is asked for, where there are such.
    pub(crate) fn named(&self) -> [Option<u64>; 3] {
        [self.newest_confirmed, self.last_sent, self.newest]
    }

    /// From whether the store has each of these three: whether it has lost some, and how much of
    /// the unconfirmed arrived.
    pub(crate) fn judge([confirmed, last_sent, newest]: [Option<bool>; 3]) -> (bool, Arrival) {
        let arrived = match (last_sent, newest) {
            (_, Some(true)) => Arrival::Everything,
            (Some(true), _) => Arrival::Sent,
            _ => Arrival::Nothing,
        };
        (confirmed == Some(false), arrived)
    }

    fn arrived(&self, how_much: Arrival) -> u64 {
        match how_much {
            Arrival::Nothing => 0,
            Arrival::Sent => self.sent,
            Arrival::Everything => self.unconfirmed - self.doubted,
        }
    }

    /// Admissions that the store has.
    pub(crate) fn held(&self, arrived: Arrival) -> u64 {
        self.confirmed + self.arrived(arrived)
    }

    /// Admissions that the store does not have yet.
    pub(crate) fn unheard(&self, arrived: Arrival) -> u64 {
        self.unconfirmed - self.arrived(arrived)
    }
}

/// The moves of an admission from one state to the next.
impl AdmissionLog {
    /// The admissions after `from_us` that the store should hold, and those that it may not know.
    pub(crate) fn own_after(&self, from_us: u64) -> OwnAdmissions {
        let (last, name) = (Admission::LAST, |a: Admission| a.sequence);
        let (sent, last_sent) = self.sent.map_or((0, None), |sent| {
            let last_sent = self.unsynced.newest(from_us, sent);
            (self.unsynced.count(from_us, sent), last_sent)
        });
        OwnAdmissions {
            confirmed: self.synced.count(from_us, last),
            newest_confirmed: self.synced.newest(from_us, last).map(name),
            sent,
            last_sent: last_sent.map(name),
            unconfirmed: self.count_unsynced(from_us, u64::MAX),
            doubted: self.doubted.count(from_us, last),
            newest: self.unsynced.newest(from_us, last).map(name),
        }
    }

    /// The oldest unconfirmed admissions, at most `most` of them, to be sent to the store.
    pub(crate) fn send(&mut self, most: usize) -> Vec<Admission> {
        let batch = self.unsynced.first(most);
        self.sent = self.sent.max(batch.last().copied());
        batch
    }

    /// The store has confirmed these, in the order in which [`send`](Self::send) gave them. Those
    /// that expired meanwhile are not added again.
    pub(crate) fn confirm(&mut self, confirmed: &[Admission]) {
        for admission in self.unsynced.take(confirmed) {
            self.synced.add(admission);
        }
    }

    /// The store has lost confirmed admissions, all or some: it has to be asked for each.
    pub(crate) fn doubt(&mut self) {
        self.doubted.absorb(std::mem::take(&mut self.synced));
    }

    /// The oldest doubted admissions after `from_us`, at most `most` of them. The older ones are
    /// outside every window, and the store may have dropped them in good order: they are doubted no
    /// more.
    pub(crate) fn doubts(&mut self, from_us: u64, most: usize) -> Vec<Admission> {
        loop {
            let first = self.doubted.first(most);
            let old = first.partition_point(|a| a.at_us <= from_us);
            if old == 0 {
                return first;
            }
            self.doubted
                .take(&first[..old])
                .into_iter()
                .for_each(|a| self.synced.add(a));
        }
    }

    /// The store holds those of the doubted admissions for which `held` is true. The others are to
    /// be sent again. Returns how many these are.
    pub(crate) fn settle(&mut self, doubts: &[Admission], held: &[bool]) -> u64 {
        let some = |wanted: bool| -> Vec<Admission> {
            doubts
                .iter()
                .zip(held)
                .filter(|(_, held)| **held == wanted)
                .map(|(a, _)| *a)
                .collect()
        };
        self.doubted
            .take(&some(true))
            .into_iter()
            .for_each(|a| self.synced.add(a));
        let lost = self.doubted.take(&some(false));
        for admission in &lost {
            self.lost.add(*admission);
            self.unsynced.add(*admission);
        }
        lost.len() as u64
    }
}
