use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratelimiter_api::{Limit, LimitEntry};
use ratelimiter_store::StoreError;
use redis::{RedisResult, ScriptInvocation, Value};

use super::limits::Change;
use super::members::Members;
use super::span::{SharedWindow, Span, take};
use super::store::{BACKGROUND_DEADLINE, SharedStore};
use crate::admissions::{Admission, RETENTION};
use crate::clock::micros;
use crate::decision::Check;

/// What the store is asked about a check.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) entry: &'a LimitEntry,
    pub(crate) span: &'a Span,
    pub(crate) check: Check,
    pub(crate) members: &'a Members,
}

/// The script's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// The deadline had passed, and nothing was counted.
    Late,
    /// The store does not know what it confirmed, and nothing was counted.
    Forgot,
    /// The key has another counter, or no limit any more, and nothing was counted.
    Changed,
}

/// The script's answer to one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) verdict: Verdict,
    /// Admissions in the window after the check.
    pub(crate) count: u64,
    /// When quota returns, microseconds on the store's clock.
    pub(crate) frees_us: u64,
}

/// The script's answer to a group of checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupAnswer {
    /// Time of the decisions, microseconds on the store's clock.
    pub(crate) now_us: u64,
    /// The limit as the store has it.
    pub(crate) limit: Limit,
    /// The change that the node does not know, for checks with [`Verdict::Changed`].
    pub(crate) change: Change,
    pub(crate) counted: Vec<Counted>,
}

/// Checks of one key, in their order of arrival.
#[derive(Debug)]
pub(crate) struct CheckGroup<'a> {
    pub(crate) entry: &'a LimitEntry,
    pub(crate) span: &'a Span,
    pub(crate) members: &'a Members,
    pub(crate) checks: &'a [GroupedCheck],
}

/// One check of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupedCheck {
    pub(crate) check: Check,
    /// After this, microseconds on the store's clock, it is not to be counted any more.
    pub(crate) late_us: u64,
}

impl SharedStore {
    /// Checks in one step of the store, which counts none of them that arrives there late. Exact.
    pub(crate) async fn check(
        &self,
        group: &CheckGroup<'_>,
        deadline: Duration,
    ) -> Result<GroupAnswer, StoreError> {
        // A script that ran and whose answer was lost with the connection has to find its own
        // admissions.
        let repeated = AtomicBool::new(false);
        let answer = self
            .checks
            .at(&group.span.set)
            .run_idempotent(deadline, async |mut connection| {
                let repeat = if repeated.swap(true, Ordering::Relaxed) {
                    "repeat"
                } else {
                    ""
                };
                let answers: Vec<Value> = self
                    .question(group, repeat)
                    .invoke_async(&mut connection)
                    .await?;
                counted(answers, group)
            })
            .await;
        self.written(answer)
    }

    fn question(&self, group: &CheckGroup<'_>, repeated: &str) -> ScriptInvocation<'_> {
        let CheckGroup {
            entry,
            span,
            members,
            checks,
        } = group;
        let or_nothing =
            |sequence: Option<u64>| sequence.map_or_else(String::new, |s| s.to_string());
        let mut call = self.scripts.check.key(&span.set);
        let limit = self.limit_of(&entry.key);
        call.key(limit.limits).key(limit.changed).key(limit.deleted);
        call.arg(entry.limit.admissions())
            .arg(entry.limit.window_us())
            .arg(members.prefix())
            .arg(micros(RETENTION))
            .arg(or_nothing(span.own.newest_confirmed))
            .arg(or_nothing(span.own.last_sent))
            .arg(span.own.sent)
            .arg(or_nothing(span.own.newest))
            .arg(span.own.unconfirmed)
            .arg(repeated)
            .arg(entry.key.as_str())
            .arg(entry.epoch)
            .arg(span.now_us)
            .arg(span.own.doubted);
        for GroupedCheck { check, late_us } in *checks {
            call.arg(check.cost).arg(check.first_sequence).arg(late_us);
        }
        call
    }

    /// The window as the store has it. Reads only.
    pub(crate) async fn window(
        &self,
        span: &Span,
        members: &Members,
        deadline: Duration,
    ) -> Result<SharedWindow, StoreError> {
        let mut pipeline = redis::pipe();
        span.read(members, &mut pipeline);
        self.reads
            .at(&span.set)
            .run_idempotent(deadline, async |mut connection| {
                let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
                span.answer(&mut answers.into_iter())
            })
            .await
    }

    /// Adds the admissions of one check.
    pub(crate) async fn add(
        &self,
        question: &Question<'_>,
        admissions: &[Admission],
        deadline: Duration,
    ) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        question
            .span
            .add(question.members, admissions, &mut pipeline);
        // An admission that is already a member stays as it is.
        let added = self
            .checks
            .at(&question.span.set)
            .run_idempotent(deadline, async |mut connection| {
                pipeline.query_async::<Value>(&mut connection).await
            });
        self.written(added.await).map(drop)
    }

    /// Adds admissions that were decided without the store, in one round trip to each part of the
    /// store. Repeated after a failure, it counts nothing twice. The answer for each span: whether
    /// the store has forgotten what it had confirmed before.
    pub(crate) async fn flush(
        &self,
        members: &Members,
        batches: &[(&Span, &[Admission])],
    ) -> Vec<Result<bool, StoreError>> {
        let sets: Vec<_> = batches.iter().map(|(span, _)| span.set.as_str()).collect();
        let added = self.flushes.scatter(
            &sets,
            BACKGROUND_DEADLINE,
            async |mut connection, places| {
                let mut pipeline = redis::pipe();
                for &place in &places {
                    let (span, admissions) = batches[place];
                    span.add(members, admissions, &mut pipeline);
                }
                let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
                let mut answers = answers.into_iter();
                places
                    .iter()
                    .map(|&place| batches[place].0.added(&mut answers))
                    .collect()
            },
        );
        added
            .await
            .into_iter()
            .map(|result| self.written(result))
            .collect()
    }
}

/// The script's answers to a group.
fn counted(answers: Vec<Value>, group: &CheckGroup<'_>) -> RedisResult<GroupAnswer> {
    let mut answers = answers.into_iter();
    let (now_us, admissions): (u64, i64) = (take(&mut answers)?, take(&mut answers)?);
    let (window_us, text): (u64, String) = (take(&mut answers)?, take(&mut answers)?);
    let limit =
        Limit::new(admissions, (window_us / 1_000_000).cast_signed()).unwrap_or(group.entry.limit);
    let change = Change {
        key: group.entry.key.clone(),
        version: take(&mut answers)?,
        entry: serde_json::from_str(&text).ok(),
    };
    let mut one = || {
        let verdict = match take::<i8>(&mut answers)? {
            1 => Verdict::Allowed,
            0 => Verdict::Denied,
            -1 => Verdict::Late,
            -2 => Verdict::Forgot,
            _ => Verdict::Changed,
        };
        let count = take(&mut answers)?;
        // An admission that is still to be added leaves last.
        let leaves_us = Some(take(&mut answers)?)
            .filter(|us| *us > 0)
            .unwrap_or(now_us);
        let frees_us = leaves_us + limit.window_us();
        Ok(Counted {
            verdict,
            count,
            frees_us,
        })
    };
    let counted = group
        .checks
        .iter()
        .map(|_| one())
        .collect::<RedisResult<_>>()?;
    Ok(GroupAnswer {
        now_us,
        limit,
        change,
        counted,
    })
}
