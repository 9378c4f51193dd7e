use std::collections::HashMap;

use ratelimiter_api::layout::{self, Heartbeat, LimitCopy};
use ratelimiter_api::{Key, NodeId};
use ratelimiter_store::StoreError;
use redis::{Pipeline, RedisResult, Value};
use tokio::time::Instant;

use super::store::{BACKGROUND_DEADLINE, SharedStore, each_answer, next_answer, unless_wrong_type};
use super::window::{KeyWindow, SharedWindow};
use crate::clock::{ClockFields, ClockReading};

/// What a node reads of the store at every sync.
#[derive(Debug)]
pub(crate) struct StoreRefresh {
    pub(crate) clock: ClockReading,
    /// The version of the limits; zero in a store without any.
    pub(crate) version: u64,
    /// The life of the store's state; empty in a store without any.
    pub(crate) life: String,
    /// The version before which deletions may be missing from the changes.
    pub(crate) floor: u64,
    /// Every node's last heartbeat.
    pub(crate) heartbeats: Vec<(NodeId, Heartbeat)>,
    /// Whether an entry of the limits was lost and others are still there.
    pub(crate) torn: bool,
    /// Whether an entry of these has a wrong type, so that what is read here is not all there is.
    pub(crate) wrong_type: bool,
    /// One entry a counter asked about, in the same order; none where its entry in the store has a
    /// wrong type, and an error where its part of the store did not answer.
    pub(crate) windows: Vec<Result<Option<KeyRefresh>, StoreError>>,
}

/// What a node reads of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyRefresh {
    pub(crate) shared: SharedWindow,
    /// The version of the limit's copy beside its admissions, in a store cluster; zero where it is
    /// missing.
    pub(crate) copy: Option<u64>,
}

enum RefreshPart {
    State(Box<StoreRefresh>),
    Key(Option<KeyRefresh>),
}

impl SharedStore {
    /// Reads all a node needs to know, in one round trip to each part of the store. Reads only: it
    /// passes while the store takes no writes.
    pub(crate) async fn refresh(
        &self,
        watched: &[(&Key, &KeyWindow)],
    ) -> Result<StoreRefresh, StoreError> {
        let sets = watched.iter().map(|(_, window)| window.set.as_str());
        let keys: Vec<_> = std::iter::once(layout::LIMITS).chain(sets).collect();
        let parts = self.reads.scatter(
            &keys,
            BACKGROUND_DEADLINE,
            async |mut connection, places| {
                let mut pipeline = redis::pipe();
                for &place in &places {
                    match place.checked_sub(1) {
                        None => ask_for_state(&mut pipeline),
                        Some(place) => self.ask_for_key(watched[place], &mut pipeline),
                    }
                }
                let sent = Instant::now();
                let answers = each_answer(&mut pipeline, &mut connection).await?;
                let received = Instant::now();
                let mut answers = answers.into_iter();
                let part = |place: &usize| match place.checked_sub(1) {
                    None => Ok(RefreshPart::State(Box::new(state(
                        &mut answers,
                        sent,
                        received,
                    )?))),
                    Some(place) => Ok(RefreshPart::Key(unless_wrong_type(
                        self.key_answer(watched[place].1, &mut answers),
                    )?)),
                };
                places.iter().map(part).collect::<RedisResult<Vec<_>>>()
            },
        );
        let (mut refresh, mut windows) = (None, Vec::new());
        for part in parts.await {
            match part {
                Ok(RefreshPart::State(state)) => refresh = Some(*state),
                Ok(RefreshPart::Key(key)) => windows.push(Ok(key)),
                // The state comes first: without it there is no refresh.
                Err(error) if refresh.is_none() => return Err(error),
                Err(error) => windows.push(Err(error)),
            }
        }
        let unanswered = || StoreError::Unreachable {
            url: self.reads.url().clone(),
            why: "it did not answer about its state".into(),
        };
        Ok(StoreRefresh {
            windows,
            ..refresh.ok_or_else(unanswered)?
        })
    }

    fn ask_for_key(&self, (key, window): (&Key, &KeyWindow), pipeline: &mut Pipeline) {
        window.read(&self.names, pipeline);
        if self.copies_limits() {
            pipeline.get(LimitCopy::of(key).version);
        }
    }

    fn key_answer(
        &self,
        window: &KeyWindow,
        answers: &mut impl Iterator<Item = Value>,
    ) -> RedisResult<KeyRefresh> {
        let shared = window.answer(answers);
        let copy = self
            .copies_limits()
            .then(|| next_answer::<Option<u64>>(answers))
            .transpose()?;
        Ok(KeyRefresh {
            shared: shared?,
            copy: copy.map(|version| version.unwrap_or(0)),
        })
    }
}

fn ask_for_state(pipeline: &mut Pipeline) {
    pipeline
        .cmd("TIME")
        .get(layout::LIMITS_VERSION)
        .hmget(layout::LIMITS_STATE, &["life", "floor"])
        .hexists(layout::LIMITS, layout::PART)
        .zscore(layout::LIMITS_CHANGED, layout::PART)
        .zscore(layout::LIMITS_DELETED, layout::PART)
        .hmget(layout::CLOCK, &layout::CLOCK_FIELDS)
        .hgetall(layout::NODES);
}

fn state(
    answers: &mut impl Iterator<Item = Value>,
    sent: Instant,
    received: Instant,
) -> RedisResult<StoreRefresh> {
    let mut wrong_type = false;
    let time = next_answer(answers)?;
    // A version that is no number fails here as well.
    let version: Option<u64> = known(next_answer(answers), &mut wrong_type);
    let (life, floor): (Option<String>, Option<u64>) = known(next_answer(answers), &mut wrong_type);
    let has_limits: bool = known(next_answer(answers), &mut wrong_type);
    let [changed, deleted] =
        [(); 2].map(|()| known::<Option<String>>(next_answer(answers), &mut wrong_type));
    let fields: ClockFields = known(next_answer(answers), &mut wrong_type);
    // Others write into a store, too: an entry of theirs is left out.
    let heartbeats: HashMap<Vec<u8>, Vec<u8>> = known(next_answer(answers), &mut wrong_type);
    let clock = ClockReading::new(time, fields, sent, received);
    let life = life.unwrap_or_default();
    let whole = has_limits && changed.is_some() && deleted.is_some();
    let heartbeats = heartbeats.into_iter().filter_map(|(id, text)| {
        let id = String::from_utf8(id).ok().filter(|id| NodeId::is_id(id))?;
        Some((NodeId::new(id), serde_json::from_slice(&text).ok()?))
    });
    let heartbeats = heartbeats.collect();
    Ok(StoreRefresh {
        clock,
        version: version.unwrap_or(0),
        torn: !life.is_empty() && !whole,
        life,
        floor: floor.unwrap_or(0),
        heartbeats,
        wrong_type,
        windows: Vec::new(),
    })
}

/// The value of an entry; that of a missing one where it has a wrong type.
fn known<T: Default>(answer: RedisResult<T>, wrong_type: &mut bool) -> T {
    *wrong_type |= answer.is_err();
    answer.unwrap_or_default()
}
