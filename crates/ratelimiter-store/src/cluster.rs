use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{RedisResult, Value, cmd};
use tokio::time::{Instant, sleep, timeout_at};

use crate::connection::StoreHandle;
use crate::failure::{AttemptFailure, Retry};
use crate::redirects::RedirectTally;
use crate::single::{RepeatPolicy, SingleStore};
use crate::slot::SLOTS;
use crate::url::StoreAddress;
use crate::{StoreError, StoreUrl};

/// Time between two attempts while the cluster moves a key, fails over or starts.
const AGAIN: Duration = Duration::from_millis(10);
/// Longest wait for one member that is asked for the owners of the slots.
const MAP_ANSWER: Duration = Duration::from_millis(100);
/// Age up to which the owners of the slots are not asked for again.
const MAP_FRESH: Duration = Duration::from_millis(50);

/// A cluster: one store for each member, and the owners of the slots.
///
/// A command goes to the owner of its slot. An answer that it belongs elsewhere, or that it has to
/// wait, was not run: it is sent again, until the deadline. A connection that broke is another
/// matter, and is treated as a [`SingleStore`] treats it.
#[derive(Debug)]
pub(crate) struct ClusterStore {
    url: StoreUrl,
    map: Mutex<SlotMap>,
    /// Held by the one use that asks for the owners.
    asking: tokio::sync::Mutex<()>,
    tally: Arc<RedirectTally>,
}

#[derive(Debug, Default)]
struct SlotMap {
    /// Every slot's owner: its place in `members`.
    owners: Vec<u16>,
    members: Vec<String>,
    stores: HashMap<String, Arc<SingleStore>>,
    read_at: Option<Instant>,
    /// The member that listed the owners, and is asked first the next time: one that is silent
    /// costs its wait once.
    answered: Option<String>,
    /// An owner turned out to be wrong, or is silent and may be replaced.
    stale: bool,
}

impl SlotMap {
    fn owner(&self, slot: u16) -> Option<&String> {
        self.members
            .get(usize::from(*self.owners.get(usize::from(slot))?))
    }

    fn store(&mut self, url: &StoreUrl, address: &str) -> Result<Arc<SingleStore>, StoreError> {
        if let Some(store) = self.stores.get(address) {
            return Ok(Arc::clone(store));
        }
        let store = Arc::new(SingleStore::new(url.member(address)?));
        self.stores.insert(address.to_owned(), Arc::clone(&store));
        Ok(store)
    }

    fn place_of(&mut self, address: &str) -> u16 {
        let place = self
            .members
            .iter()
            .position(|member| member == address)
            .unwrap_or_else(|| {
                self.members.push(address.to_owned());
                self.members.len() - 1
            });
        u16::try_from(place).unwrap_or(NOBODY)
    }
}

/// The owner of a slot that has none.
const NOBODY: u16 = u16::MAX;

impl ClusterStore {
    pub(crate) fn new(url: StoreUrl, tally: Arc<RedirectTally>) -> Self {
        Self {
            url,
            map: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            tally,
        }
    }

    pub(crate) fn close(&self) {
        self.map
            .lock()
            .stores
            .values()
            .for_each(|store| store.close());
    }

    /// The address of a slot's owner, asked for where it is not known.
    pub(crate) async fn owner(&self, slot: u16, until: Instant) -> Result<String, StoreError> {
        let known = {
            let map = self.map.lock();
            map.owner(slot).filter(|_| !map.stale).cloned()
        };
        match known {
            Some(owner) => Ok(owner),
            None => {
                self.read_map(until).await?;
                self.map
                    .lock()
                    .owner(slot)
                    .cloned()
                    .ok_or_else(|| self.unreachable("no member owns the slot".into()))
            }
        }
    }

    /// Every primary's address.
    pub(crate) async fn primaries(&self, until: Instant) -> Result<Vec<String>, StoreError> {
        self.read_map(until).await?;
        let map = self.map.lock();
        let mut places: Vec<u16> = map.owners.clone();
        places.sort_unstable();
        places.dedup();
        Ok(places
            .iter()
            .filter_map(|place| map.members.get(usize::from(*place)).cloned())
            .collect())
    }

    /// Runs one operation on the owner of a slot.
    pub(crate) async fn attempt<T, F: Future<Output = RedisResult<T>>>(
        &self,
        slot: u16,
        deadline: Duration,
        repeat: RepeatPolicy,
        operation: impl Fn(StoreHandle) -> F,
    ) -> Result<T, StoreError> {
        let until = Instant::now() + deadline;
        let mut asked: Option<String> = None;
        let mut last = None;
        loop {
            let owner = self.owner(slot, until).await;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let late = StoreError::Deadline {
                    url: self.url.clone(),
                    deadline,
                };
                return Err(last.unwrap_or(late));
            }
            let failure = match owner {
                Ok(owner) => match self
                    .once(&owner, left, repeat, asked.take(), &operation)
                    .await
                {
                    Ok(value) => return Ok(value),
                    Err(failure) => failure,
                },
                Err(error) if error.is_refusal() => return Err(error),
                Err(error) => AttemptFailure {
                    error,
                    retry: Retry::Lost,
                },
            };
            self.tally.add(&failure.retry);
            match failure.retry {
                Retry::GiveUp => return Err(failure.error),
                Retry::Moved(address) => self.moved(slot, &address),
                Retry::Ask(address) => asked = Some(address),
                Retry::TryAgain | Retry::Loading => sleep(AGAIN.min(left)).await,
                Retry::Down | Retry::ReadOnly | Retry::Lost => {
                    self.map.lock().stale = true;
                    sleep(AGAIN.min(left)).await;
                }
            }
            last = Some(failure.error);
        }
    }

    /// Runs one operation on one member, without another attempt elsewhere. `asked` is the address
    /// of the member to which it has sent on.
    pub(crate) async fn once<T, F: Future<Output = RedisResult<T>>>(
        &self,
        address: &str,
        deadline: Duration,
        repeat: RepeatPolicy,
        asked: Option<String>,
        operation: impl Fn(StoreHandle) -> F,
    ) -> Result<T, AttemptFailure> {
        let store = |address: &str| {
            self.map
                .lock()
                .store(&self.url, address)
                .map_err(AttemptFailure::last)
        };
        let asked = asked.as_deref().map(store).transpose()?;
        let done = store(address)?
            .attempt(deadline, repeat, asked.as_deref(), operation)
            .await;
        if let Err(AttemptFailure { error, .. }) = &done
            && error.is_transient()
        {
            self.map.lock().stale = true;
        }
        done
    }

    fn moved(&self, slot: u16, address: &str) {
        let mut map = self.map.lock();
        let place = map.place_of(address);
        if let Some(owner) = map.owners.get_mut(usize::from(slot)) {
            *owner = place;
        }
    }

    /// Asks the members, the known ones and then those of the URL, for the owners of the slots.
    async fn read_map(&self, until: Instant) -> Result<(), StoreError> {
        let asking = timeout_at(until, self.asking.lock()).await;
        let _asking =
            asking.map_err(|_| self.unreachable("the owners of the slots are not known".into()))?;
        let (fresh, mut members) = {
            let map = self.map.lock();
            let fresh =
                map.read_at.is_some_and(|at| at.elapsed() < MAP_FRESH) && !map.owners.is_empty();
            (
                fresh,
                map.answered
                    .iter()
                    .chain(&map.members)
                    .cloned()
                    .collect::<Vec<_>>(),
            )
        };
        if fresh {
            self.map.lock().stale = false;
            return Ok(());
        }
        if let StoreAddress::Cluster(seeds) = self.url.address() {
            members.extend(seeds.iter().map(ToString::to_string));
        }
        let (mut why, mut refused) = ("it has no members".to_owned(), None);
        for address in members {
            let left = until
                .saturating_duration_since(Instant::now())
                .min(MAP_ANSWER);
            if left.is_zero() {
                break;
            }
            let slots = async |mut connection| {
                cmd("CLUSTER")
                    .arg("SLOTS")
                    .query_async(&mut connection)
                    .await
            };
            match self
                .once::<Vec<Value>, _>(&address, left, RepeatPolicy::Allowed, None, slots)
                .await
            {
                Ok(ranges) if !ranges.is_empty() => {
                    self.take_map(&ranges, &address);
                    return Ok(());
                }
                Ok(_) => why = format!("{address} knows of no slots"),
                Err(AttemptFailure { error, .. }) if error.is_refusal() => refused = Some(error),
                Err(AttemptFailure { error, .. }) => why = error.to_string(),
            }
        }
        // A member that refuses goes on refusing; one that is away may come back.
        Err(refused.unwrap_or_else(|| self.unreachable(why)))
    }

    fn take_map(&self, ranges: &[Value], asked: &str) {
        let host = asked.rsplit_once(':').map_or(asked, |(host, _)| host);
        let mut map = self.map.lock();
        map.members.clear();
        let mut owners = vec![NOBODY; usize::from(SLOTS)];
        for (from, to, address) in ranges.iter().filter_map(|range| owned(range, host)) {
            let place = map.place_of(&address);
            owners
                .iter_mut()
                .take(to + 1)
                .skip(from)
                .for_each(|owner| *owner = place);
        }
        map.owners = owners;
        let members = map.members.clone();
        map.stores.retain(|address, _| members.contains(address));
        map.read_at = Some(Instant::now());
        map.answered = Some(asked.to_owned());
        map.stale = false;
    }

    fn unreachable(&self, why: String) -> StoreError {
        StoreError::Unreachable {
            url: self.url.clone(),
            why,
        }
    }
}

/// One entry of `CLUSTER SLOTS`: first and last slot, and the owner's address. A member that does
/// not know its own host leaves it out.
fn owned(range: &Value, host: &str) -> Option<(usize, usize, String)> {
    let Value::Array(parts) = range else {
        return None;
    };
    let [Value::Int(from), Value::Int(to), Value::Array(owner), ..] = parts.as_slice() else {
        return None;
    };
    let [named, Value::Int(port), ..] = owner.as_slice() else {
        return None;
    };
    let named = match named {
        Value::BulkString(text) if !text.is_empty() => String::from_utf8_lossy(text).into_owned(),
        _ => host.to_owned(),
    };
    Some((
        usize::try_from(*from).ok()?,
        usize::try_from(*to).ok()?,
        format!("{named}:{port}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_with_and_without_host() {
        let owner = |host: Value| {
            Value::Array(vec![
                host,
                Value::Int(7001),
                Value::BulkString(b"id".to_vec()),
            ])
        };
        let range = |host| Value::Array(vec![Value::Int(0), Value::Int(5460), owner(host)]);
        let named = Value::BulkString(b"10.0.0.1".to_vec());
        assert_eq!(
            owned(&range(named), "h"),
            Some((0, 5460, "10.0.0.1:7001".to_owned()))
        );
        assert_eq!(
            owned(&range(Value::Nil), "h"),
            Some((0, 5460, "h:7001".to_owned()))
        );
        assert_eq!(owned(&Value::Nil, "h"), None);
    }
}
