use std::time::Duration;

use ratelimiter_api::Limit;
use ratelimiter_store::StoreError;
use redis::{Script, Value};

use super::{BACKGROUND_DEADLINE, Members, SharedStore, SharedWindow, Span};
use crate::admissions::{Admission, RETENTION};
use crate::clock::micros;

/// The script of the atomic mode: sent by its hash, loaded again when the store does not know it.
#[derive(Debug)]
pub(crate) struct CheckScript(Script);

impl CheckScript {
    pub(crate) fn new() -> Self {
        Self(Script::new(include_str!("check.lua")))
    }
}

/// What the store is asked about a check.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) limit: Limit,
    pub(crate) span: &'a Span,
    pub(crate) cost: u32,
    pub(crate) members: &'a Members,
    pub(crate) first_sequence: u64,
}

/// What the script decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// The deadline had passed, and nothing was counted.
    Late,
    /// The store does not know what it confirmed, and nothing was counted.
    Forgot,
}

/// What the script answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) verdict: Verdict,
    pub(crate) count: u64,
    pub(crate) now_us: u64,
    pub(crate) oldest_us: Option<u64>,
}

impl SharedStore {
    /// One check in one step of the store, which does not count it when it arrives there after `late_us` on the store's
    /// clock. Exact.
    pub(crate) async fn check(
        &self,
        question: &Question<'_>,
        late_us: u64,
        deadline: Duration,
    ) -> Result<Counted, StoreError> {
        let Question { limit, span, cost, members, first_sequence } = question;
        let or_nothing = |sequence: Option<u64>| sequence.map_or_else(String::new, |s| s.to_string());
        let mut call = self.check_script.0.key(&span.set);
        call.arg(limit.admissions())
            .arg(limit.window_us())
            .arg(cost)
            .arg(members.prefix())
            .arg(first_sequence)
            .arg(late_us)
            .arg(micros(RETENTION))
            .arg(or_nothing(span.own.newest_confirmed))
            .arg(or_nothing(span.own.last_sent))
            .arg(span.own.sent)
            .arg(or_nothing(span.own.newest))
            .arg(span.own.unconfirmed);
        let answer: Result<(i8, u64, String, String), _> =
            self.checks.run(deadline, async |mut connection| call.invoke_async(&mut connection).await).await;
        let (verdict, count, now, oldest) = self.written(answer)?;
        let verdict = match verdict {
            1 => Verdict::Allowed,
            0 => Verdict::Denied,
            -1 => Verdict::Late,
            _ => Verdict::Forgot,
        };
        let now_us = now.parse().unwrap_or(late_us);
        Ok(Counted { verdict, count, now_us, oldest_us: oldest.parse().ok() })
    }

    /// The window as the store has it. Reads only.
    pub(crate) async fn window(
        &self,
        question: &Question<'_>,
        deadline: Duration,
    ) -> Result<SharedWindow, StoreError> {
        let Question { span, members, .. } = question;
        let mut pipeline = redis::pipe();
        span.read(members, &mut pipeline);
        self.reads
            .run(deadline, async |mut connection| {
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
        question.span.add(question.members, admissions, &mut pipeline);
        self.written(self.checks.pipeline::<Value>(&pipeline, deadline).await).map(drop)
    }

    /// Adds admissions that were decided without the store, in one round trip. Repeated after a failure, it counts
    /// nothing twice. Says for each span whether the store has forgotten what it had confirmed before.
    pub(crate) async fn flush(
        &self,
        members: &Members,
        batches: &[(&Span, &[Admission])],
    ) -> Result<Vec<bool>, StoreError> {
        let mut pipeline = redis::pipe();
        batches.iter().for_each(|(span, admissions)| span.add(members, admissions, &mut pipeline));
        let result = self
            .flushes
            .run(BACKGROUND_DEADLINE, async |mut connection| {
                let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
                let mut answers = answers.into_iter();
                batches.iter().map(|(span, _)| span.added(&mut answers)).collect()
            })
            .await;
        self.written(result)
    }
}
