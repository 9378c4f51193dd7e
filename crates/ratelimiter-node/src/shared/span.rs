use ratelimiter_api::{LimitEntry, layout};
use redis::{FromRedisValue, Pipeline, RedisResult, Value, from_redis_value};

use super::members::Members;
use crate::admissions::{Admission, Arrived, Own, RETENTION};
use crate::clock::micros;

/// Which admissions: those of one counter, in one window that ends now.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) set: String,
    window_us: u64,
    pub(crate) now_us: u64,
    /// What the store should know of this node in the window.
    pub(crate) own: Own,
}

/// A key's window as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedWindow {
    pub(crate) count: u64,
    pub(crate) oldest_us: Option<u64>,
    /// The store does not know the newest admission that it had confirmed.
    pub(crate) forgot: bool,
    /// How much it holds of what it has not confirmed.
    pub(crate) arrived: Arrived,
}

impl Span {
    pub(crate) fn new(entry: &LimitEntry, now_us: u64, own: Own) -> Self {
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
    pub(crate) fn read(&self, members: &Members, pipeline: &mut Pipeline) {
        let after = format!("({}", self.start_us());
        pipeline
            .cmd("ZCOUNT")
            .arg(&self.set)
            .arg(&after)
            .arg("+inf");
        pipeline
            .cmd("ZRANGEBYSCORE")
            .arg(&self.set)
            .arg(&after)
            .arg("+inf");
        pipeline.arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
        self.ask_for(self.own.newest_confirmed, members, pipeline);
        self.ask_for(self.own.last_sent, members, pipeline);
        self.ask_for(self.own.newest, members, pipeline);
    }

    /// Takes the answers to [`read`](Self::read).
    pub(crate) fn answer(
        &self,
        answers: &mut impl Iterator<Item = Value>,
    ) -> RedisResult<SharedWindow> {
        let count = take(answers)?;
        let oldest: Vec<(String, u64)> = take(answers)?;
        let forgot = !knows(self.own.newest_confirmed, answers)?.unwrap_or(true);
        let last_sent = knows(self.own.last_sent, answers)?.unwrap_or(false);
        let newest = knows(self.own.newest, answers)?.unwrap_or(false);
        let arrived = match (last_sent, newest) {
            (_, true) => Arrived::Everything,
            (true, false) => Arrived::Sent,
            (false, false) => Arrived::Nothing,
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
    pub(crate) fn add(&self, members: &Members, admissions: &[Admission], pipeline: &mut Pipeline) {
        self.ask_for(self.own.newest_confirmed, members, pipeline);
        let command = pipeline.cmd("ZADD").arg(&self.set);
        for admission in admissions {
            command
                .arg(admission.at_us)
                .arg(members.name(admission.sequence));
        }
        command.ignore();
        let retention = micros(RETENTION);
        let old = self.start_us().saturating_sub(retention);
        pipeline
            .cmd("ZREMRANGEBYSCORE")
            .arg(&self.set)
            .arg("-inf")
            .arg(old)
            .ignore();
        let life_ms = (self.window_us + 2 * retention) / 1000;
        pipeline.cmd("PEXPIRE").arg(&self.set).arg(life_ms).ignore();
    }

    /// Takes the answers to [`add`](Self::add): whether the store has forgotten what it had
    /// confirmed.
    pub(crate) fn added(&self, answers: &mut impl Iterator<Item = Value>) -> RedisResult<bool> {
        Ok(!knows(self.own.newest_confirmed, answers)?.unwrap_or(true))
    }

    fn ask_for(&self, sequence: Option<u64>, members: &Members, pipeline: &mut Pipeline) {
        if let Some(sequence) = sequence {
            pipeline
                .cmd("ZSCORE")
                .arg(&self.set)
                .arg(members.name(sequence));
        }
    }
}

/// Whether the store knows the admission that it was asked for, if there was one to ask for.
fn knows(
    sequence: Option<u64>,
    answers: &mut impl Iterator<Item = Value>,
) -> RedisResult<Option<bool>> {
    let Some(_) = sequence else { return Ok(None) };
    Ok(Some(take::<Option<String>>(answers)?.is_some()))
}

/// The next answer of a pipeline.
pub(crate) fn take<T: FromRedisValue>(answers: &mut impl Iterator<Item = Value>) -> RedisResult<T> {
    Ok(from_redis_value(answers.next().unwrap_or(Value::Nil))?)
}
