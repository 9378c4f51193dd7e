use std::time::Duration;

use ratelimiter_api::{LimitEntry, layout};
use ratelimiter_lease::{Answer, RECHECK, Recall, StoreTime, Terms};
use ratelimiter_store::StoreError;
use redis::{Script, ScriptInvocation};

use super::limits::Change;
use super::members::Members;
use super::store::SharedStore;
use crate::admissions::RETENTION;
use crate::clock::micros;
use crate::counting::Known;

/// One message of a node to the ledger of a key.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) entry: &'a LimitEntry,
    pub(crate) terms: &'a Terms,
    pub(crate) members: &'a Members,
    /// Number and spent part of each grant that is given back.
    pub(crate) settlements: &'a [(u64, u32)],
    /// The request for a grant, if there is one.
    pub(crate) request: Option<&'a Wanted>,
}

/// A request for a grant.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) ask: ratelimiter_lease::Ask,
    /// The newest grant that the store must have.
    pub(crate) newest: Option<u64>,
    /// Nodes that share the limit.
    pub(crate) nodes: u32,
    pub(crate) known: Known,
}

/// The store's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exchanged {
    /// The settlements are noted; there was no request.
    Settled,
    Answered(Answer),
    /// The store does not have the grants or the limits that it confirmed.
    Forgot,
    /// The store lost its state, and grants nothing until all that it granted before has left the
    /// window.
    Learning(Duration),
    /// The key has another counter, or no limit any more, and nothing was granted.
    Changed(Box<Change>),
}

/// The script's answer, as its head lists it.
type Fields = (i8, u32, u64, u32, u64, u64, String, u64);

impl SharedStore {
    /// Settles, and asks for a grant. A repetition changes nothing.
    pub(crate) async fn lease_exchange(
        &self,
        exchange: &Exchange<'_>,
        deadline: Duration,
    ) -> Result<Exchanged, StoreError> {
        let Exchange {
            entry,
            terms,
            members,
            settlements,
            request,
        } = exchange;
        let mut call = self.prepare(&self.scripts.lease_exchange, entry, terms, members);
        if let Some(Wanted {
            ask,
            newest,
            nodes,
            known,
        }) = request
        {
            call.arg(newest.map_or_else(String::new, |number| number.to_string()));
            call.arg(nodes)
                .arg(micros(RECHECK))
                .arg(known.coming)
                .arg(known.version);
            call.arg(ask.number)
                .arg(ask.waiting.need)
                .arg(ask.waiting.alike);
            call.arg(ask.waiting.queued).arg(ask.ahead);
        } else {
            call.arg("")
                .arg(1)
                .arg(0)
                .arg(0)
                .arg(0)
                .arg("")
                .arg(0)
                .arg(0)
                .arg(0)
                .arg(0);
        }
        call.arg(entry.key.as_str());
        for (number, spent) in *settlements {
            call.arg(number).arg(spent);
        }
        let link = if request.is_some() {
            &self.checks
        } else {
            &self.flushes
        };
        let answer: Result<Fields, _> = link
            .at(&layout::admissions(&entry.key, entry.epoch))
            .run_idempotent(deadline, async |mut connection| {
                call.invoke_async(&mut connection).await
            })
            .await;
        let (verdict, charge, given, room, hold, frees, text, version) = self.written(answer)?;
        let (hold, frees) = (Duration::from_micros(hold), Duration::from_micros(frees));
        Ok(match verdict {
            2 => Exchanged::Settled,
            1 => Exchanged::Answered(Answer::Granted {
                charge,
                given: StoreTime::from_micros(given),
                room,
            }),
            0 => Exchanged::Answered(Answer::Denied { hold, frees, room }),
            -1 => Exchanged::Answered(Answer::Closed),
            -3 => Exchanged::Learning(frees),
            -4 => Exchanged::Changed(Box::new(Change {
                key: entry.key.clone(),
                version,
                entry: serde_json::from_str(&text).ok(),
            })),
            _ => Exchanged::Forgot,
        })
    }

    /// Gives the ledger the grants that it has lost.
    pub(crate) async fn lease_recall(
        &self,
        entry: &LimitEntry,
        terms: &Terms,
        members: &Members,
        grants: &[Recall],
        deadline: Duration,
    ) -> Result<(), StoreError> {
        let mut call = self.prepare(&self.scripts.lease_recall, entry, terms, members);
        for Recall {
            number,
            charge,
            closed,
        } in grants
        {
            let closed = closed.map_or_else(String::new, |age| micros(age).to_string());
            call.arg(number).arg(charge).arg(closed);
        }
        let told: Result<(), _> = self
            .checks
            .at(&layout::admissions(&entry.key, entry.epoch))
            .run_idempotent(deadline, async |mut connection| {
                call.invoke_async(&mut connection).await
            })
            .await;
        self.written(told)
    }

    fn prepare<'a>(
        &self,
        script: &'a Script,
        entry: &LimitEntry,
        terms: &Terms,
        members: &Members,
    ) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        for key in layout::leases(&entry.key, entry.epoch) {
            call.key(key);
        }
        let limit = self.limit_of(&entry.key);
        call.key(layout::admissions(&entry.key, entry.epoch))
            .key(limit.loss)
            .key(limit.version);
        call.key(limit.limits).key(limit.changed).key(limit.deleted);
        call.arg(terms.limit())
            .arg(micros(terms.window()))
            .arg(micros(terms.lease()))
            .arg(micros(RETENTION));
        call.arg(entry.epoch).arg(members.prefix());
        call
    }
}
