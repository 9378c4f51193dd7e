use ratelimiter_api::{LimitEntry, layout};
use ratelimiter_store::StoreError;

use super::store::{BACKGROUND_DEADLINE, SharedStore};
use super::window::AdmissionBatch;
use crate::admissions::AdmissionNames;

impl SharedStore {
    /// Which of these admissions the store holds, by name. No answer about a counter that is not
    /// the current one any more: its admissions were dropped on purpose. Reads only.
    pub(crate) async fn audit<C>(
        &self,
        names: &AdmissionNames,
        doubts: &[AdmissionBatch<C>],
    ) -> Result<Vec<Option<Vec<bool>>>, StoreError> {
        let sets: Vec<_> = doubts.iter().map(|d| d.window.set.as_str()).collect();
        let held = self.reads.scatter(
            &sets,
            BACKGROUND_DEADLINE,
            async |mut connection, places| {
                let mut pipeline = redis::pipe();
                for &place in &places {
                    let command = pipeline.cmd("ZMSCORE").arg(sets[place]);
                    doubts[place].admissions.iter().for_each(|a| {
                        command.arg(names.name(a.sequence));
                    });
                }
                let scores: Vec<Vec<Option<String>>> =
                    pipeline.query_async(&mut connection).await?;
                Ok(scores
                    .iter()
                    .map(|scores| scores.iter().map(Option::is_some).collect())
                    .collect())
            },
        );
        let held: Vec<Result<Vec<bool>, StoreError>> = held.await;
        // The limits after the admissions: a counter is reset before its admissions are dropped.
        let keys: Vec<_> = doubts.iter().map(|d| d.entry.key.as_str()).collect();
        let mut read = redis::pipe();
        read.cmd("HMGET").arg(layout::LIMITS).arg(keys);
        let (texts,): (Vec<Option<String>>,) = self.read(layout::LIMITS, &read).await?;
        let current = |text: Option<String>, doubts: &AdmissionBatch<C>| {
            text.and_then(|text| serde_json::from_str::<LimitEntry>(&text).ok())
                .is_some_and(|entry| entry.epoch == doubts.entry.epoch)
        };
        let answers = held.into_iter().zip(texts).zip(doubts);
        Ok(answers
            .map(|((held, text), doubts)| held.ok().filter(|_| current(text, doubts)))
            .collect())
    }
}
