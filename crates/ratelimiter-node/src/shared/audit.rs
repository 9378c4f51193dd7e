use ratelimiter_store::StoreError;

use super::store::{BACKGROUND_DEADLINE, SharedStore, each_answer, next_answer, unless_wrong_type};
use super::window::AdmissionBatch;

impl SharedStore {
    /// Which of these admissions the store holds, by name. No answer about a counter that is not
    /// the current one any more: its admissions were dropped on purpose. Reads only.
    pub(crate) async fn audit<C>(
        &self,
        doubts: &[AdmissionBatch<C>],
    ) -> Result<Vec<Option<Vec<bool>>>, StoreError> {
        let sets: Vec<_> = doubts.iter().map(|d| d.window.set.as_str()).collect();
        let held = self.reads.scatter(
            &sets,
            BACKGROUND_DEADLINE,
            async |mut connection, places| {
                let mut pipeline = redis::pipe();
                for &place in &places {
                    let asked = doubts[place].admissions.iter();
                    let asked: Vec<_> = asked.map(|a| self.names.name(a.sequence)).collect();
                    pipeline.zscore_multiple(sets[place], &asked);
                }
                let answers = each_answer(&mut pipeline, &mut connection).await?;
                let mut answers = answers.into_iter();
                let held = |_| {
                    let scores = next_answer::<Vec<Option<String>>>(&mut answers);
                    let held = |scores: Vec<_>| scores.iter().map(Option::is_some).collect();
                    Ok(unless_wrong_type(scores)?.map(held))
                };
                places.iter().map(held).collect()
            },
        );
        let held: Vec<Result<Option<Vec<bool>>, StoreError>> = held.await;
        // The limits after the admissions: a counter is reset before its admissions are dropped.
        let keys: Vec<_> = doubts.iter().map(|d| d.entry.key.as_str()).collect();
        let limits = self.entries(&keys).await?;
        let answers = held.into_iter().zip(limits).zip(doubts);
        Ok(answers
            .map(|((held, limit), doubts)| {
                let epoch = limit.map(|limit| limit.epoch);
                held.ok()
                    .flatten()
                    .filter(|_| epoch == Some(doubts.entry.epoch))
            })
            .collect())
    }
}
