//! A key's window: the questions to the store about it, and the admissions added to it.

use std::time::Duration;

use ratelimiter_api::{LimitEntry, layout};
use ratelimiter_store::StoreError;
use redis::{Pipeline, RedisResult, Value};

use super::store::{BACKGROUND_DEADLINE, SharedStore, each_answer, next_answer, unless_wrong_type};
use crate::admissions::{Admission, AdmissionNames, Arrival, OwnAdmissions, RETENTION};
use crate::clock::{BRIDGED, micros};

/// One counter's window that ends now.
#[derive(Clone, Debug)]
pub(crate) struct KeyWindow {
    /// The set of the counter's admissions in the store.
    pub(crate) set: String,
    window_us: u64,
    pub(crate) now_us: u64,
    /// This node's admissions in the window.
    pub(crate) own: OwnAdmissions,
}

/// Some admissions of one counter, which `owner` has.
#[derive(Debug)]
pub(crate) struct AdmissionBatch<C> {
    pub(crate) owner: C,
    pub(crate) entry: LimitEntry,
    pub(crate) window: KeyWindow,
    pub(crate) admissions: Vec<Admission>,
}

/// A key's window as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedWindow {
    pub(crate) count: u64,
    pub(crate) oldest_us: Option<u64>,
    /// The newest admission that the store had confirmed is missing.
    pub(crate) forgot: bool,
    /// The unconfirmed admissions that the store has all the same.
    pub(crate) arrived: Arrival,
}

impl KeyWindow {
    pub(crate) fn new(entry: &LimitEntry, now_us: u64, own: OwnAdmissions) -> Self {
        let set = layout::admissions(&entry.key, entry.epoch);
        Self {
            set,
            window_us: entry.limit.window_us(),
            now_us,
            own,
        }
    }

    /// The last instant before the window.
    pub(crate) fn start_us(&self) -> u64 {
        self.now_us.saturating_sub(self.window_us)
    }

    /// Asks for everything in a [`SharedWindow`].
    pub(crate) fn read(&self, names: &AdmissionNames, pipeline: &mut Pipeline) {
        let after = format!("({}", self.start_us());
        pipeline
            .zcount(&self.set, &after, "+inf")
            .zrangebyscore_limit_withscores(&self.set, &after, "+inf", 0, 1);
        for named in self.own.named() {
            self.ask_for(named, names, pipeline);
        }
    }

    /// Takes the answers to [`read`](Self::read).
    pub(crate) fn answer(
        &self,
        answers: &mut impl Iterator<Item = Value>,
    ) -> RedisResult<SharedWindow> {
        // All are taken before any of them fails: the next key's answers follow.
        let count = next_answer(answers);
        let oldest: RedisResult<Vec<(String, u64)>> = next_answer(answers);
        let [confirmed, last_sent, newest] = self.own.named().map(|named| knows(named, answers));
        let (count, oldest) = (count?, oldest?);
        let (forgot, arrived) = OwnAdmissions::judge([confirmed?, last_sent?, newest?]);
        Ok(SharedWindow {
            count,
            oldest_us: oldest.first().map(|(_, at)| *at),
            forgot,
            arrived,
        })
    }

    /// Adds admissions, and keeps the set as small as its window. They are added in one step, so
    /// that the last of them is never there without the others. One that is there already takes the
    /// time that the node has for it now, since the node's clock may have been set. Asks first
    /// whether the store still knows what it confirmed before.
    pub(crate) fn add(
        &self,
        names: &AdmissionNames,
        admissions: &[Admission],
        pipeline: &mut Pipeline,
    ) {
        self.ask_for(self.own.newest_confirmed, names, pipeline);
        let member = |a: &Admission| (a.at_us, names.name(a.sequence));
        let members: Vec<_> = admissions.iter().map(member).collect();
        let retention = micros(RETENTION);
        let old = self.start_us().saturating_sub(retention);
        let life_ms = (self.window_us + 2 * retention + micros(BRIDGED)) / 1000;
        pipeline.zadd_multiple(&self.set, &members);
        pipeline.zrembyscore(&self.set, "-inf", old).ignore();
        pipeline.pexpire(&self.set, life_ms.cast_signed()).ignore();
    }

    /// Takes the answers to [`add`](Self::add): whether the store has forgotten what it had
    /// confirmed.
    pub(crate) fn added(&self, answers: &mut impl Iterator<Item = Value>) -> RedisResult<bool> {
        let confirmed = knows(self.own.newest_confirmed, answers);
        next_answer::<u64>(answers)?;
        Ok(!confirmed?.unwrap_or(true))
    }

    fn ask_for(&self, sequence: Option<u64>, names: &AdmissionNames, pipeline: &mut Pipeline) {
        if let Some(sequence) = sequence {
            pipeline.zscore(&self.set, names.name(sequence));
        }
    }
}

/// Whether the store knows the admission that it was asked for, if there was one to ask for.
fn knows(
    sequence: Option<u64>,
    answers: &mut impl Iterator<Item = Value>,
) -> RedisResult<Option<bool>> {
    let Some(_) = sequence else { return Ok(None) };
    Ok(Some(next_answer::<Option<String>>(answers)?.is_some()))
}

impl SharedStore {
    /// The window as the store has it. Reads only.
    pub(crate) async fn window(
        &self,
        window: &KeyWindow,
        deadline: Duration,
    ) -> Result<SharedWindow, StoreError> {
        let mut pipeline = redis::pipe();
        window.read(&self.names, &mut pipeline);
        self.reads
            .at(&window.set)
            .run_idempotent(deadline, async |mut connection| {
                let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
                window.answer(&mut answers.into_iter())
            })
            .await
    }

    /// Adds the admissions of one check.
    pub(crate) async fn add(
        &self,
        window: &KeyWindow,
        admissions: &[Admission],
        deadline: Duration,
    ) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        window.add(&self.names, admissions, &mut pipeline);
        // An admission that is already a member stays as it is.
        self.write::<Value>(&self.checks, &window.set, &pipeline, deadline)
            .await
            .map(drop)
    }

    /// Adds admissions that were decided without the store, in one round trip to each part of the
    /// store. Repeated after a failure, it counts nothing twice. The answer for each batch: whether
    /// the store has forgotten admissions that it had confirmed before.
    pub(crate) async fn flush<C>(
        &self,
        batches: &[AdmissionBatch<C>],
    ) -> Vec<Result<bool, StoreError>> {
        let sets: Vec<_> = batches
            .iter()
            .map(|batch| batch.window.set.as_str())
            .collect();
        let added = self.flushes.scatter(
            &sets,
            BACKGROUND_DEADLINE,
            async |mut connection, places| {
                let mut pipeline = redis::pipe();
                for &place in &places {
                    let batch = &batches[place];
                    batch
                        .window
                        .add(&self.names, &batch.admissions, &mut pipeline);
                }
                let answers = each_answer(&mut pipeline, &mut connection).await?;
                let mut answers = answers.into_iter();
                places
                    .iter()
                    .map(|&place| unless_wrong_type(batches[place].window.added(&mut answers)))
                    .collect()
            },
        );
        let mut results = Vec::new();
        for (added, batch) in added.await.into_iter().zip(batches) {
            let added = match self.written(added) {
                Ok(Some(forgot)) => Ok(forgot),
                // What it held is lost, and the batch is sent again with the next flush.
                Ok(None) => self.quarantine_key(&batch.entry).await.map(|()| true),
                Err(error) => Err(error),
            };
            results.push(added);
        }
        results
    }
}
