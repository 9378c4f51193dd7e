//! A key's window: the questions to the store about it, and the admissions added to it.

use std::time::Duration;

use ratelimiter_api::{LimitEntry, layout};
use ratelimiter_store::StoreError;
use redis::{Pipeline, RedisResult, Value};

use super::store::{BACKGROUND_DEADLINE, SharedStore, next_answer};
use crate::admissions::{Admission, AdmissionNames, Arrival, OwnAdmissions, RETENTION};
use crate::clock::micros;

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
        self.ask_for(self.own.newest_confirmed, names, pipeline);
        self.ask_for(self.own.last_sent, names, pipeline);
        self.ask_for(self.own.newest, names, pipeline);
    }

    /// Takes the answers to [`read`](Self::read).
    pub(crate) fn answer(
        &self,
        answers: &mut impl Iterator<Item = Value>,
    ) -> RedisResult<SharedWindow> {
        let count = next_answer(answers)?;
        let oldest: Vec<(String, u64)> = next_answer(answers)?;
        let forgot = !knows(self.own.newest_confirmed, answers)?.unwrap_or(true);
        let last_sent = knows(self.own.last_sent, answers)?.unwrap_or(false);
        let newest = knows(self.own.newest, answers)?.unwrap_or(false);
        let arrived = match (last_sent, newest) {
            (_, true) => Arrival::Everything,
            (true, false) => Arrival::Sent,
            (false, false) => Arrival::Nothing,
        };
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
        let life_ms = (self.window_us + 2 * retention) / 1000;
        pipeline.zadd_multiple(&self.set, &members).ignore();
        pipeline.zrembyscore(&self.set, "-inf", old).ignore();
        pipeline.pexpire(&self.set, life_ms.cast_signed()).ignore();
    }

    /// Takes the answers to [`add`](Self::add): whether the store has forgotten what it had
    /// confirmed.
    pub(crate) fn added(&self, answers: &mut impl Iterator<Item = Value>) -> RedisResult<bool> {
        Ok(!knows(self.own.newest_confirmed, answers)?.unwrap_or(true))
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
                let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
                let mut answers = answers.into_iter();
                places
                    .iter()
                    .map(|&place| batches[place].window.added(&mut answers))
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
