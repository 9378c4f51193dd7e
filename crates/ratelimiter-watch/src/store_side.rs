//! Reads of the store itself, past every node.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use ratelimiter_api::layout::{self, Heartbeat};
use ratelimiter_api::{
    CountingMode, Key, LimitEntry, NodeId, SharedCount, SharedGrants, StoreSample,
};
use ratelimiter_store::{Link, StoreError};
use redis::{Pipeline, Value, from_redis_value};
use serde::de::DeserializeOwned;

use crate::turn::FEW;

/// The common clock, the heartbeats, and the limits where there are few.
#[derive(Debug)]
pub(crate) struct StoreContents {
    pub(crate) time_us: u64,
    /// All limits; `None` when there are more than [`FEW`].
    pub(crate) limits: Option<BTreeMap<Key, LimitEntry>>,
    pub(crate) heartbeats: HashMap<NodeId, Heartbeat>,
}

/// Reads the clock, the heartbeats and, where there are few, the limits.
pub(crate) async fn contents(link: &Link, deadline: Duration) -> Result<StoreContents, StoreError> {
    let store = link.at(layout::LIMITS);
    let mut pipeline = redis::pipe();
    pipeline
        .cmd("TIME")
        .cmd("HGET")
        .arg(layout::CLOCK)
        .arg(layout::CLOCK_FIELDS[0])
        .cmd("HGETALL")
        .arg(layout::NODES)
        .cmd("HLEN")
        .arg(layout::LIMITS);
    type Texts = HashMap<Vec<u8>, Vec<u8>>;
    type Answers = ((u64, u64), Option<i64>, Texts, usize);
    let ((seconds, micros), offset_us, nodes, limits): Answers =
        store.pipeline(&pipeline, deadline).await?;
    let limits = if limits <= FEW {
        let texts: Texts = store
            .query(redis::cmd("HGETALL").arg(layout::LIMITS), deadline)
            .await?;
        Some(entries(texts.into_values()))
    } else {
        None
    };
    let heartbeats = nodes
        .into_iter()
        .filter_map(|(id, text)| {
            let id = String::from_utf8(id).ok().filter(|id| NodeId::is_id(id))?;
            Some((NodeId::new(id), parse(&text)?))
        })
        .collect();
    Ok(StoreContents {
        time_us: (seconds * 1_000_000 + micros).saturating_add_signed(offset_us.unwrap_or(0)),
        limits,
        heartbeats,
    })
}

/// Reads the limits of these keys; a key without one is left out.
pub(crate) async fn limits(
    link: &Link,
    keys: &BTreeSet<&Key>,
    deadline: Duration,
) -> Result<BTreeMap<Key, LimitEntry>, StoreError> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut command = redis::cmd("HMGET");
    command.arg(layout::LIMITS);
    keys.iter().for_each(|key| {
        command.arg(key.as_str());
    });
    let texts: Vec<Option<Vec<u8>>> = link.at(layout::LIMITS).query(&command, deadline).await?;
    Ok(entries(texts.into_iter().flatten()))
}

fn entries(texts: impl Iterator<Item = Vec<u8>>) -> BTreeMap<Key, LimitEntry> {
    let entries = texts.filter_map(|text| parse::<LimitEntry>(&text));
    entries.map(|entry| (entry.key.clone(), entry)).collect()
}

/// Entries of other programs are left out.
fn parse<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_slice(text).ok()
}

/// Counts every key's window before `span_end_us`.
pub(crate) async fn counts(
    link: &Link,
    limits: &BTreeMap<Key, LimitEntry>,
    span_end_us: u64,
    deadline: Duration,
) -> Result<StoreSample, StoreError> {
    let started = tokio::time::Instant::now();
    let limits: Vec<&LimitEntry> = limits.values().collect();
    let sets: Vec<_> = limits
        .iter()
        .map(|entry| layout::admissions(&entry.key, entry.epoch))
        .collect();
    // Without a key to count, the store still shows that it answers, and its latency.
    let places: Vec<_> = sets
        .iter()
        .map(String::as_str)
        .chain([layout::LIMITS])
        .collect();
    let read = link.scatter(&places, deadline, async |mut connection, places| {
        let mut pipeline = redis::pipe();
        for &place in &places {
            match limits.get(place) {
                Some(entry) => ask(entry, &sets[place], span_end_us, &mut pipeline),
                None => {
                    pipeline.cmd("PING");
                }
            }
        }
        let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
        let mut answers = answers.into_iter();
        Ok(places
            .iter()
            .map(|&place| shared_count(limits.get(place).copied(), span_end_us, &mut answers))
            .collect())
    });
    let counts: Vec<Option<SharedCount>> = read.await.into_iter().collect::<Result<_, _>>()?;
    let keys = limits
        .iter()
        .zip(counts)
        .filter_map(|(entry, count)| Some((entry.key.clone(), count?)));
    Ok(StoreSample {
        keys: keys.collect::<BTreeMap<_, _>>(),
        latency: started.elapsed(),
    })
}

fn ask(entry: &LimitEntry, set: &str, span_end_us: u64, pipeline: &mut Pipeline) {
    let start = format!("({}", span_end_us.saturating_sub(entry.limit.window_us()));
    pipeline.cmd("ZCOUNT").arg(set).arg(start).arg(span_end_us);
    if entry.counting == CountingMode::Leased {
        let [grants, ..] = layout::leases(&entry.key, entry.epoch);
        pipeline.cmd("HGETALL").arg(grants);
    }
}

/// Takes the answers to [`ask`]; without a limit, that to a PING.
fn shared_count(
    entry: Option<&LimitEntry>,
    span_end_us: u64,
    answers: &mut impl Iterator<Item = Value>,
) -> Option<SharedCount> {
    let first = answers.next()?;
    let entry = entry?;
    let grants = (entry.counting == CountingMode::Leased).then(|| {
        let book = from_redis_value(answers.next().unwrap_or(Value::Nil)).unwrap_or_default();
        grants(
            &book,
            span_end_us.saturating_sub(entry.limit.window_us()),
            span_end_us,
        )
    });
    let shared = number(&first) + grants.map_or(0, |grants| grants.charged);
    Some(SharedCount {
        limit: entry.limit,
        epoch: entry.epoch,
        shared,
        grants,
    })
}

fn number(answer: &Value) -> u64 {
    if let Value::Int(number) = answer {
        u64::try_from(*number).unwrap_or(0)
    } else {
        0
    }
}

/// The grants that can hold an admission of the span `(start_us, end_us]`: given by its end, and
/// not ended by its start.
fn grants(book: &HashMap<String, String>, start_us: u64, end_us: u64) -> SharedGrants {
    let mut sums = SharedGrants::default();
    for (_, grant) in book.iter().filter(|(name, _)| !name.starts_with('#')) {
        let mut fields = grant.split(' ').map(str::parse::<u64>);
        let (Some(Ok(charge)), Some(Ok(given)), Some(Ok(end)), Some(Ok(settled))) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if given <= end_us && end > start_us {
            sums.charged += charge;
            sums.open += if settled == 0 { charge } else { 0 };
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_of_the_span_are_summed() {
        let book = [
            ("#", "1"),
            ("n:b:1", "4 100 120 0"),
            ("n:b:2", "3 110 115 1"),
            ("n:b:3", "9 95 100 1"),
            ("n:b:4", "9 121 200 0"),
            ("n:b:5", "broken"),
        ];
        let book = book
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into();
        assert_eq!(
            grants(&book, 100, 120),
            SharedGrants {
                charged: 7,
                open: 4
            }
        );
    }
}
