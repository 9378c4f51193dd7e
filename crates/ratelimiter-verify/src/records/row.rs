//! A check from the fields of a record: its interval, its outcome, its key and its cost.

use std::borrow::Cow;
use std::time::Duration;

use ratelimiter_api::Outcome;

use super::field::{FieldText, Fields, RowDefect};
use super::outcome::StatusOutcomes;
use super::time::{Stamp, TimeUnit};

/// A check as a record has it. Times are nanoseconds since 1970, or since the record's own begin.
#[derive(Debug)]
pub(super) struct Row<'l> {
    /// Empty for one without a key.
    pub(super) key: Cow<'l, str>,
    /// Empty where the record names no node.
    pub(super) node: Cow<'l, str>,
    pub(super) invoke: u64,
    pub(super) complete: u64,
    pub(super) outcome: Outcome,
    /// The status, where it decides nothing.
    pub(super) open_status: Option<u16>,
    pub(super) cost: u32,
    /// Whether its times have no zone.
    pub(super) is_local: bool,
}

/// The places of fields, and their meaning.
#[derive(Clone, Debug, Default)]
pub(super) struct RowFormat {
    pub(super) begin: Option<TimeField>,
    pub(super) end: Option<TimeField>,
    pub(super) duration: Option<TimeField>,
    /// The longest that a check takes, where a record has one of its times only.
    pub(super) takes: Option<Duration>,
    /// The resolution of all times, instead of their last digits'.
    pub(super) resolution: Option<u64>,
    pub(super) key: KeyParts,
    pub(super) node: Option<usize>,
    pub(super) status: Option<usize>,
    pub(super) outcome: Option<OwnVerdict>,
    pub(super) cost: Option<usize>,
    /// Records with another value are no checks.
    pub(super) only: Vec<(usize, String)>,
}

/// A field with the limiter's own verdict, which goes before the status.
#[derive(Clone, Copy, Debug)]
pub(super) enum OwnVerdict {
    /// A record without one is no check.
    Always(usize),
    /// Words such as Envoy's flags; of the others the status decides.
    IfKnown(usize),
}

/// A time in a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeField {
    pub(super) place: usize,
    pub(super) unit: TimeUnit,
}

/// Text and fields, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyParts(pub(super) Vec<KeyPart>);

#[derive(Clone, Debug)]
pub(super) enum KeyPart {
    Text(String),
    Field(usize),
    /// The host of `HOST:PORT`.
    Host(usize),
}

/// The key of checks that have none by their format.
const ALL: &str = "all";

/// Words of limiters for their own verdicts, and those of history files.
const OUTCOMES: [(&str, Outcome); 11] = [
    ("allowed", Outcome::Allowed),
    ("denied", Outcome::Denied),
    ("failed", Outcome::Failed),
    ("unknown", Outcome::Unknown),
    // nginx's $limit_req_status
    ("PASSED", Outcome::Allowed),
    ("DELAYED", Outcome::Allowed),
    ("REJECTED", Outcome::Denied),
    ("DELAYED_DRY_RUN", Outcome::Allowed),
    ("REJECTED_DRY_RUN", Outcome::Denied),
    // Envoy's %RESPONSE_FLAGS%
    ("RL", Outcome::Denied),
    ("RateLimited", Outcome::Denied),
];

impl RowFormat {
    /// The check of a record, if it is one.
    pub(super) fn row<'l>(
        &self,
        fields: &Fields<'l>,
        text: FieldText,
        outcomes: &StatusOutcomes,
    ) -> Result<Option<Row<'l>>, RowDefect> {
        let other = |(place, value): &(usize, String)| text(fields[*place]) != value.as_str();
        if self.only.iter().any(other) {
            return Ok(None);
        }
        let (invoke, complete, is_local) = self.interval(fields)?;
        let cost = match self.cost.map(|place| fields[place]) {
            None => 1,
            Some(cost) => cost
                .parse()
                .ok()
                .filter(|cost| *cost > 0)
                .ok_or(RowDefect::Cost)?,
        };
        let own = match self.outcome {
            Some(OwnVerdict::Always(place)) => match fields[place] {
                "" | "-" => return Ok(None),
                word => Some(outcome(word).ok_or(RowDefect::Outcome)?),
            },
            Some(OwnVerdict::IfKnown(place)) => fields[place].split(',').find_map(outcome),
            None => None,
        };
        let (outcome, open_status) = match (own, self.status) {
            (Some(outcome), _) => (outcome, None),
            (None, Some(place)) => outcomes.of(fields[place]),
            (None, None) => (Outcome::Unknown, None),
        };
        Ok(Some(Row {
            key: self.key.of(fields, text),
            node: self.node.map_or("".into(), |place| text(fields[place])),
            invoke,
            complete,
            outcome,
            open_status,
            cost,
            is_local,
        }))
    }

    /// First and last instant at which the check can have been decided. A written time is the
    /// begin of its last digit's unit, as clocks are read.
    fn interval(&self, fields: &Fields<'_>) -> Result<(u64, u64, bool), RowDefect> {
        let read = |field: Option<TimeField>, name| {
            let Some(TimeField { place, unit }) = field else {
                return Ok(None);
            };
            let stamp = Stamp::read(fields[place], unit).ok_or(RowDefect::Time(name))?;
            Ok(Some(stamp))
        };
        let last = |stamp: Stamp| {
            let resolution = self.resolution.unwrap_or(stamp.resolution);
            stamp.nanos.saturating_add(resolution)
        };
        let begin = read(self.begin, "begin")?;
        let end = read(self.end, "end")?;
        let takes = || -> Result<u64, RowDefect> {
            match self.takes {
                Some(takes) => Ok(u64::try_from(takes.as_nanos()).unwrap_or(u64::MAX)),
                None => Ok(last(
                    read(self.duration, "duration")?.ok_or(RowDefect::Time("end"))?,
                )),
            }
        };
        let (invoke, complete) = match (begin, end) {
            (Some(begin), Some(end)) => (begin.nanos, last(end)),
            (Some(begin), None) => (begin.nanos, last(begin).saturating_add(takes()?)),
            (None, Some(end)) => (end.nanos.saturating_sub(takes()?), last(end)),
            (None, None) => return Err(RowDefect::Time("begin")),
        };
        if complete < invoke {
            return Err(RowDefect::Backwards);
        }
        let stamps = [begin, end];
        let is_local = stamps.iter().flatten().any(|stamp| stamp.is_local);
        Ok((invoke, complete, is_local))
    }
}

fn outcome(word: &str) -> Option<Outcome> {
    let known = OUTCOMES.iter().find(|known| known.0 == word);
    known.map(|known| known.1)
}

impl KeyParts {
    /// Empty if one of its fields is.
    fn of<'l>(&self, fields: &Fields<'l>, text: FieldText) -> Cow<'l, str> {
        let value = |place: usize| Some(text(fields[place])).filter(|v| !matches!(&**v, "" | "-"));
        match self.0.as_slice() {
            [] => ALL.into(),
            [KeyPart::Field(place)] => value(*place).unwrap_or_default(),
            [KeyPart::Host(place)] if !fields[*place].starts_with('"') => {
                host(fields[*place]).into()
            }
            parts => {
                let parts = parts.iter().map(|part| match part {
                    KeyPart::Text(text) => Some(text.clone()),
                    KeyPart::Field(place) => value(*place).map(Cow::into_owned),
                    KeyPart::Host(place) => value(*place).map(|value| host(&value).to_owned()),
                });
                parts.collect::<Option<String>>().unwrap_or_default().into()
            }
        }
    }
}

/// `10.0.0.7:8080`, `[::1]:8080` and `::1:8080` without the port.
fn host(address: &str) -> &str {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port { host } else { address }
}
