//! The scripts of the ledger in the store, and their arguments.

use std::sync::LazyLock;
use std::time::Duration;

use ratelimiter_api::{LimitEntry, layout};
use ratelimiter_lease::{GrantAnswer, GrantRecall, LeaseTerms, RECHECK, StoreTime};
use ratelimiter_store::StoreError;
use redis::{Script, ScriptInvocation};

use super::NodeFacts;
use super::terms::terms;
use crate::admissions::RETENTION;
use crate::clock::micros;
use crate::limiter::CheckContext;
use crate::shared::{BACKGROUND_DEADLINE, LimitChange};

/// A script of the ledger, with the head that all of them share.
macro_rules! ledger_script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                include_str!("../../clock.lua"),
                include_str!("../current.lua"),
                include_str!("begin.lua"),
                include_str!("ledger.lua"),
                include_str!($file)
            ))
        });
    };
}

ledger_script!(EXCHANGE, "exchange.lua");
ledger_script!(RECALL, "recall.lua");
ledger_script!(FORMER, "former.lua");

/// One message of a node to the ledger of a key.
#[derive(Debug)]
pub(super) struct GrantMessage {
    pub(super) entry: LimitEntry,
    pub(super) terms: LeaseTerms,
    /// Number and spent part of each grant that is given back.
    pub(super) settlements: Vec<(u64, u32)>,
    pub(super) request: Option<GrantRequest>,
}

/// A request for a grant.
#[derive(Debug)]
pub(super) struct GrantRequest {
    pub(super) ask: ratelimiter_lease::HolderMessage,
    /// The newest grant that the store must have.
    pub(super) newest: Option<u64>,
    /// Nodes that share the limit.
    pub(super) nodes: u32,
    pub(super) facts: NodeFacts,
}

/// The ledger's answer to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LedgerAnswer {
    /// The settlements are noted; there was no request.
    Settled,
    Answered(GrantAnswer),
    /// The store does not have the grants or the limits that it confirmed.
    Forgot,
    /// The store lost its state, and grants nothing until all that it granted before has left the
    /// window.
    Learning(Duration),
    /// The key has another counter, or no limit any more, and nothing was granted.
    Changed(Box<LimitChange>),
}

/// The script's answer, as its head lists it.
type AnswerFields = (i8, u32, u64, u32, u64, u64, String, u64);

/// Settles, and asks for a grant. A repetition changes nothing.
pub(super) async fn exchange(
    context: &CheckContext,
    message: &GrantMessage,
) -> Result<LedgerAnswer, StoreError> {
    let GrantMessage {
        entry,
        terms,
        settlements,
        request,
    } = message;
    let version = request.as_ref().map_or(0, |request| request.facts.version);
    let store = &context.store;
    let mut call = invocation(&EXCHANGE, context, entry, terms, version);
    if let Some(GrantRequest {
        ask,
        newest,
        nodes,
        facts,
    }) = request
    {
        call.arg(newest.map_or_else(String::new, |number| number.to_string()))
            .arg(nodes)
            .arg(micros(RECHECK))
            .arg(facts.coming)
            .arg(ask.number)
            .arg(ask.waiting.need)
            .arg(ask.waiting.alike)
            .arg(ask.waiting.queued)
            .arg(ask.ahead);
    } else {
        for nothing in ["", "1", "0", "0", "", "0", "0", "0", "0"] {
            call.arg(nothing);
        }
    }
    for (number, spent) in settlements {
        call.arg(number).arg(spent);
    }
    let link = if request.is_some() {
        &store.checks
    } else {
        &store.flushes
    };
    let (verdict, charge, given, room, hold, frees, text, version): AnswerFields = store
        .invoke(link, &entry.key, &call, context.timeout)
        .await?;
    let (hold, frees) = (Duration::from_micros(hold), Duration::from_micros(frees));
    Ok(match verdict {
        2 => LedgerAnswer::Settled,
        1 => LedgerAnswer::Answered(GrantAnswer::Granted {
            charge,
            given: StoreTime::from_micros(given),
            room,
        }),
        0 => LedgerAnswer::Answered(GrantAnswer::Denied { hold, frees, room }),
        -1 => LedgerAnswer::Answered(GrantAnswer::Closed),
        -3 => LedgerAnswer::Learning(frees),
        -4 => LedgerAnswer::Changed(Box::new(LimitChange {
            key: entry.key.clone(),
            version,
            entry: serde_json::from_str(&text).ok(),
        })),
        _ => LedgerAnswer::Forgot,
    })
}

/// Gives the ledger the grants that it has lost.
pub(super) async fn recall(
    context: &CheckContext,
    entry: &LimitEntry,
    terms: &LeaseTerms,
    grants: &[GrantRecall],
) -> Result<(), StoreError> {
    let mut call = invocation(&RECALL, context, entry, terms, 0);
    for GrantRecall {
        number,
        charge,
        closed,
    } in grants
    {
        let closed = closed.map_or_else(String::new, |age| micros(age).to_string());
        call.arg(number).arg(charge).arg(closed);
    }
    let store = &context.store;
    store
        .invoke(&store.checks, &entry.key, &call, context.timeout)
        .await
}

/// Charge of the grants that were given until an instant, or until now, and may still be spent; and
/// that instant, microseconds on the ledger's clock.
pub(super) async fn former(
    context: &CheckContext,
    entry: &LimitEntry,
    instant_us: Option<u64>,
) -> Result<(u64, u64), StoreError> {
    let mut call = invocation(&FORMER, context, entry, &terms(entry.limit), 0);
    call.arg(instant_us.map_or_else(String::new, |instant| instant.to_string()));
    let store = &context.store;
    store
        .invoke(&store.flushes, &entry.key, &call, BACKGROUND_DEADLINE)
        .await
}

/// A call of a script with the arguments that all scripts of the ledger share.
fn invocation(
    script: &'static Script,
    context: &CheckContext,
    entry: &LimitEntry,
    terms: &LeaseTerms,
    version: u64,
) -> ScriptInvocation<'static> {
    let mut call = script.prepare_invoke();
    for key in layout::leases(&entry.key, entry.epoch) {
        call.key(key);
    }
    let limit = context.store.limit_of(&entry.key);
    call.key(layout::admissions(&entry.key, entry.epoch))
        .key(limit.clock)
        .key(limit.version);
    call.key(limit.limits).key(limit.changed).key(limit.deleted);
    call.arg(terms.limit())
        .arg(micros(terms.window()))
        // A request may have left so much later than its node's clock reads.
        .arg(micros(terms.lease()) + context.clock.lag_us())
        .arg(micros(RETENTION));
    call.arg(entry.epoch).arg(context.store.names.prefix());
    call.arg(entry.key.as_str())
        .arg(version)
        .arg(context.clock.now_us());
    call
}
