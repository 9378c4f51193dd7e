use ratelimiter_api::{LimitEntry, layout};
use redis::{FromRedisValue, Pipeline, RedisResult, Value, from_redis_value};

use super::Members;
use crate::admissions::{Admission, RETENTION};
use crate::clock::micros;

/// Members added by one command: enough to be quick, few enough not to hold up the store.
const CHUNK: usize = 500;

/// Which admissions: those of one counter, in one window that ends now.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    set: String,
    window_us: u64,
    pub(crate) now_us: u64,
    /// The sequence of an admission of this node that the store has confirmed, if there is one in the window.
    pub(crate) witness: Option<u64>,
}

/// A key's window as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedWindow {
    pub(crate) count: u64,
    pub(crate) oldest_us: Option<u64>,
    /// The store does not know the witness.
    pub(crate) forgot: bool,
}

impl Span {
    pub(crate) fn new(entry: &LimitEntry, now_us: u64) -> Self {
        let set = layout::admissions(&entry.key, entry.epoch);
        Self { set, window_us: entry.limit.window_us(), now_us, witness: None }
    }

    /// The last instant before the window.
    pub(crate) fn start_us(&self) -> u64 {
        self.now_us.saturating_sub(self.window_us)
    }

    /// Asks how many admissions the window holds, for the oldest of them, and whether the witness is known.
    pub(crate) fn read(&self, members: &Members, pipeline: &mut Pipeline) {
        let after = format!("({}", self.start_us());
        pipeline.cmd("ZCOUNT").arg(&self.set).arg(&after).arg("+inf");
        pipeline.cmd("ZRANGEBYSCORE").arg(&self.set).arg(&after).arg("+inf");
        pipeline.arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
        self.ask_witness(members, pipeline);
    }

    /// Asks whether the witness is known.
    pub(crate) fn ask_witness(&self, members: &Members, pipeline: &mut Pipeline) {
        if let Some(witness) = self.witness {
            pipeline.cmd("ZSCORE").arg(&self.set).arg(members.name(witness));
        }
    }

    /// Takes the answers to [`read`](Self::read).
    pub(crate) fn answer(&self, answers: &mut impl Iterator<Item = Value>) -> RedisResult<SharedWindow> {
        let count = take(answers)?;
        let oldest: Vec<(String, u64)> = take(answers)?;
        let forgot = self.answer_witness(answers)?;
        Ok(SharedWindow { count, oldest_us: oldest.first().map(|(_, at)| *at), forgot })
    }

    /// Takes the answer to [`ask_witness`](Self::ask_witness): true when the store has forgotten it.
    pub(crate) fn answer_witness(&self, answers: &mut impl Iterator<Item = Value>) -> RedisResult<bool> {
        Ok(self.witness.is_some() && take::<Option<String>>(answers)?.is_none())
    }

    /// Adds admissions, and keeps the set as small as its window. NX keeps the time stamp of what is there already.
    pub(crate) fn add(&self, members: &Members, admissions: &[Admission], pipeline: &mut Pipeline) {
        for chunk in admissions.chunks(CHUNK) {
            let command = pipeline.cmd("ZADD").arg(&self.set).arg("NX");
            for admission in chunk {
                command.arg(admission.at_us).arg(members.name(admission.sequence));
            }
            command.ignore();
        }
        let retention = micros(RETENTION);
        let old = self.start_us().saturating_sub(retention);
        pipeline.cmd("ZREMRANGEBYSCORE").arg(&self.set).arg("-inf").arg(old).ignore();
        let life_ms = (self.window_us + 2 * retention) / 1000;
        pipeline.cmd("PEXPIRE").arg(&self.set).arg(life_ms).ignore();
    }
}

/// The next answer of a pipeline.
pub(crate) fn take<T: FromRedisValue>(answers: &mut impl Iterator<Item = Value>) -> RedisResult<T> {
    Ok(from_redis_value(answers.next().unwrap_or(Value::Nil))?)
}
