use std::time::Duration;

use ratelimiter_api::{Key, LimitEntry, layout};
use ratelimiter_store::StoreError;
use redis::Script;

use super::{BACKGROUND_DEADLINE, Members, SharedStore, SharedWindow};
use crate::admissions::{Admission, RETENTION};
use crate::clock::micros;

/// Members added by one command of a flush: enough to be quick, few enough not to hold up the store.
const FLUSH_CHUNK: usize = 500;

/// Which admissions: those of one counter, in one window that ends now.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) set: String,
    pub(crate) window_us: u64,
    pub(crate) now_us: u64,
}

impl Span {
    pub(crate) fn new(entry: &LimitEntry, now_us: u64) -> Self {
        Self::of(&entry.key, entry.epoch, entry.limit.window_us(), now_us)
    }

    fn of(key: &Key, epoch: u64, window_us: u64, now_us: u64) -> Self {
        Self { set: layout::admissions(key, epoch), window_us, now_us }
    }

    /// The last instant before the window.
    pub(crate) fn start_us(&self) -> u64 {
        self.now_us.saturating_sub(self.window_us)
    }

    /// Two commands: how many admissions the window holds, and the oldest of them.
    pub(crate) fn read(&self, pipeline: &mut redis::Pipeline) {
        let after = format!("({}", self.start_us());
        pipeline.cmd("ZCOUNT").arg(&self.set).arg(&after).arg("+inf");
        pipeline.cmd("ZRANGEBYSCORE").arg(&self.set).arg(&after).arg("+inf");
        pipeline.arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
    }

    /// Keeps the sorted set as small as its window, for the commands that add to it.
    fn trim(&self, pipeline: &mut redis::Pipeline) {
        let retention = micros(RETENTION);
        let old = self.start_us().saturating_sub(retention);
        pipeline.cmd("ZREMRANGEBYSCORE").arg(&self.set).arg("-inf").arg(old).ignore();
        let life_ms = (self.window_us + 2 * retention) / 1000;
        pipeline.cmd("PEXPIRE").arg(&self.set).arg(life_ms).ignore();
    }
}

/// The script of the atomic mode: sent by its hash, loaded again when the store does not know it.
#[derive(Debug)]
pub(crate) struct CheckScript(Script);

impl CheckScript {
    pub(crate) fn new() -> Self {
        Self(Script::new(include_str!("check.lua")))
    }
}

/// What the script is asked.
pub(crate) struct ScriptArgs<'a> {
    pub(crate) entry: &'a LimitEntry,
    pub(crate) cost: u32,
    pub(crate) members: &'a Members,
    pub(crate) first_sequence: u64,
    /// After this instant on the store's clock the check is not to be counted.
    pub(crate) deadline_us: u64,
}

/// What the script answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Nothing when the deadline had passed and nothing was counted.
    pub(crate) allowed: Option<bool>,
    pub(crate) count: u64,
    pub(crate) now_us: u64,
    pub(crate) oldest_us: Option<u64>,
}

impl SharedStore {
    /// One check in one step of the store. Exact.
    pub(crate) async fn check(
        &self,
        args: ScriptArgs<'_>,
        deadline: Duration,
    ) -> Result<Counted, StoreError> {
        let ScriptArgs { entry, cost, members, first_sequence, deadline_us } = args;
        let mut call = self.script.0.key(layout::admissions(&entry.key, entry.epoch));
        call.arg(entry.limit.admissions())
            .arg(entry.limit.window_us())
            .arg(cost)
            .arg(members.prefix())
            .arg(first_sequence)
            .arg(deadline_us)
            .arg(micros(RETENTION));
        let answer: Result<(i8, u64, String, String), _> =
            self.checks.run(deadline, async |mut connection| call.invoke_async(&mut connection).await).await;
        let (allowed, count, now, oldest) = self.written(answer)?;
        Ok(Counted {
            allowed: (allowed >= 0).then_some(allowed == 1),
            count,
            now_us: now.parse().unwrap_or(deadline_us),
            oldest_us: oldest.parse().ok(),
        })
    }

    /// The window as the store has it. Reads only.
    pub(crate) async fn window(&self, span: &Span, deadline: Duration) -> Result<SharedWindow, StoreError> {
        let mut pipeline = redis::pipe();
        span.read(&mut pipeline);
        let (count, oldest): (u64, Vec<(String, u64)>) = self.reads.pipeline(&pipeline, deadline).await?;
        Ok(SharedWindow { count, oldest_us: oldest.first().map(|(_, at)| *at) })
    }

    /// Adds the admissions of one check.
    pub(crate) async fn add(
        &self,
        span: &Span,
        members: &Members,
        admissions: &[Admission],
        deadline: Duration,
    ) -> Result<(), StoreError> {
        let pipeline = additions(span, members, admissions);
        self.written(self.checks.pipeline(&pipeline, deadline).await)
    }

    /// Adds admissions that were decided without the store. Repeated after a failure, it counts nothing twice.
    pub(crate) async fn flush(
        &self,
        span: &Span,
        members: &Members,
        admissions: &[Admission],
    ) -> Result<(), StoreError> {
        let pipeline = additions(span, members, admissions);
        self.written(self.flushes.pipeline(&pipeline, BACKGROUND_DEADLINE).await)
    }
}

/// NX keeps the time stamp of an admission that is there already.
fn additions(span: &Span, members: &Members, admissions: &[Admission]) -> redis::Pipeline {
    let mut pipeline = redis::pipe();
    for chunk in admissions.chunks(FLUSH_CHUNK) {
        let command = pipeline.cmd("ZADD").arg(&span.set).arg("NX");
        for admission in chunk {
            command.arg(admission.at_us).arg(members.name(admission.sequence));
        }
        command.ignore();
    }
    span.trim(&mut pipeline);
    pipeline
}
