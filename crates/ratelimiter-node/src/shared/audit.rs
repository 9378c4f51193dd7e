use ratelimiter_api::{LimitEntry, layout};
use ratelimiter_store::StoreError;
use redis::{Value, from_redis_value};

use super::members::Members;
use super::span::{Span, take};
use super::store::{BACKGROUND_DEADLINE, SharedStore};
use crate::admissions::Admission;

/// Admissions of one counter that the store had confirmed.
#[derive(Debug)]
pub(crate) struct Doubts<'a> {
    pub(crate) entry: &'a LimitEntry,
    pub(crate) span: &'a Span,
    pub(crate) admissions: &'a [Admission],
}

impl SharedStore {
    /// Which of these admissions the store holds, by name. No answer about a counter that is not the current one any more:
    /// its admissions were dropped on purpose. Reads only.
    pub(crate) async fn audit(
        &self,
        members: &Members,
        doubts: &[Doubts<'_>],
    ) -> Result<Vec<Option<Vec<bool>>>, StoreError> {
        let mut pipeline = redis::pipe();
        for Doubts { span, admissions, .. } in doubts {
            let command = pipeline.cmd("ZMSCORE").arg(&span.set);
            admissions.iter().for_each(|a| {
                command.arg(members.name(a.sequence));
            });
        }
        // The limits after the admissions: a counter is reset before its admissions are dropped.
        let keys: Vec<_> = doubts.iter().map(|d| d.entry.key.as_str()).collect();
        pipeline.cmd("HMGET").arg(layout::LIMITS).arg(keys);
        self.reads
            .run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
                let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
                let mut answers = answers.into_iter();
                let scores: Vec<Value> = answers.by_ref().take(doubts.len()).collect();
                let texts: Vec<Option<String>> = take(&mut answers)?;
                let held = |score: Value| {
                    let scores: Vec<Option<String>> = from_redis_value(score)?;
                    Ok(scores.iter().map(Option::is_some).collect::<Vec<_>>())
                };
                let current = |text: Option<String>, doubts: &Doubts<'_>| {
                    text.and_then(|text| serde_json::from_str::<LimitEntry>(&text).ok())
                        .is_some_and(|entry| entry.epoch == doubts.entry.epoch)
                };
                let answers = scores.into_iter().zip(texts).zip(doubts);
                answers.map(|((s, text), d)| current(text, d).then(|| held(s)).transpose()).collect()
            })
            .await
    }
}
