use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ratelimiter_api::{Limit, choice};
use serde::{Serialize, Serializer};

/// A promise about the cost admitted of one key.
///
/// Its text is `AMOUNT/WINDOW FORM`, on command lines, in messages and in JSON. The form may be
/// left out where it is sliding:
///
/// ```
/// use ratelimiter_invariants::Contract;
///
/// for text in ["10/2s", "100/1m fixed", "10/500ms token-bucket", "10/1d fixed aligned"] {
///     assert_eq!(text.parse::<Contract>()?.to_string(), text);
/// }
/// let error = "10/2s gcra".parse::<Contract>().unwrap_err().to_string();
/// assert_eq!(error, "character 7: \"gcra\" is a token bucket: write token-bucket");
/// # Ok::<(), ratelimiter_invariants::ContractError>(())
/// ```
///
/// Every [`Limit`] is a sliding one; a contract may also be about a window shorter than a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    pub(super) kind: ContractKind,
    pub(super) max: u32,
    pub(super) window: Duration,
}

choice! {
    /// The form of a contract.
    #[derive(Default)]
    ContractKind, "form" {
        /// At most `max` in any half-open window: two admissions exactly a window apart are not in
        /// one.
        #[default]
        Sliding = "sliding",
        /// Windows of at least `W` follow each other, each with at most `max`; where they begin is
        /// not known.
        Fixed = "fixed",
        /// At most `max + t max / W` in any closed interval of length t: a bucket of `max` tokens,
        /// refilled once a window.
        TokenBucket = "token-bucket",
        /// Some alignment exists for which every window `[a + k W, a + (k + 1) W)` holds at most
        /// `max`; it is the same for all keys.
        Aligned = "fixed aligned",
    }
}

/// Other names of the forms.
const OTHER_NAMES: [(&str, &str, ContractKind); 5] = [
    ("gcra", "a token bucket", ContractKind::TokenBucket),
    ("leaky-bucket", "a token bucket", ContractKind::TokenBucket),
    ("bucket", "a token bucket", ContractKind::TokenBucket),
    ("rolling", "a sliding window", ContractKind::Sliding),
    ("aligned", "a fixed window", ContractKind::Aligned),
];

/// Units of a window, nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A contract that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// It would allow nothing.
    #[error("contract allows 0 admissions: it must allow at least 1")]
    Max,
    /// It would limit nothing.
    #[error("contract has a window of zero: it must be positive")]
    Window,
    /// A text that is no contract.
    #[error("character {at}: {defect}")]
    Text {
        /// Place of the defect, counted from 1.
        at: usize,
        /// The defect, with the text that may have been meant.
        defect: String,
    },
}

impl Contract {
    /// A sliding contract of `max` admissions in any `window`.
    ///
    /// # Errors
    /// When either is zero.
    pub fn new(max: u32, window: Duration) -> Result<Self, ContractError> {
        if max == 0 {
            return Err(ContractError::Max);
        }
        if window.is_zero() {
            return Err(ContractError::Window);
        }
        Ok(Self {
            kind: ContractKind::Sliding,
            max,
            window,
        })
    }

    /// The same numbers in another form.
    #[must_use]
    pub fn of_kind(self, kind: ContractKind) -> Self {
        Self { kind, ..self }
    }

    /// The form.
    pub fn kind(&self) -> ContractKind {
        self.kind
    }

    /// Cost that a window, or a full bucket, may hold.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Length of a window, or the time in which an empty bucket fills.
    pub fn window(&self) -> Duration {
        self.window
    }
}

impl From<Limit> for Contract {
    fn from(limit: Limit) -> Self {
        Self {
            kind: ContractKind::Sliding,
            max: limit.admissions(),
            window: limit.window(),
        }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.window.as_nanos();
        let whole = UNITS
            .iter()
            .find(|(_, unit)| nanos.is_multiple_of((*unit).into()));
        let (unit, length) = whole.unwrap_or(&("ns", 1));
        write!(f, "{}/{}{unit}", self.max, nanos / u128::from(*length))?;
        match self.kind {
            ContractKind::Sliding => Ok(()),
            kind => write!(f, " {kind}"),
        }
    }
}

impl Serialize for Contract {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl FromStr for Contract {
    type Err = ContractError;

    fn from_str(text: &str) -> Result<Self, ContractError> {
        let error = |rest: &str, defect: String| ContractError::Text {
            at: text[..text.len() - rest.len()].chars().count() + 1,
            defect,
        };
        let (amount, rest) = split_digits(text);
        if amount.is_empty() {
            let defect = "expected a limit such as 10/2s, '100/1m fixed' or '10/2s token-bucket'";
            return Err(error(text, defect.to_owned()));
        }
        let max = amount
            .parse()
            .map_err(|_| error(text, format!("{amount} is above {}", u32::MAX)))?;
        let Some(window) = rest.strip_prefix('/') else {
            let defect = format!("expected / and a window, as in {amount}/2s");
            return Err(error(rest, defect));
        };
        let (window, form) = window.split_at(window.find(' ').unwrap_or(window.len()));
        let rest = &rest[1..];
        let (number, unit) = split_digits(window);
        let known = UNITS.iter().find(|known| known.0 == unit);
        let length = known.map_or_else(
            || Err(error(&rest[number.len()..], no_unit(number, unit))),
            |known| Ok(known.1),
        )?;
        if number.is_empty() {
            return Err(error(rest, format!("did you mean {amount}/1{unit}?")));
        }
        let nanos = number
            .parse()
            .ok()
            .and_then(|number: u64| number.checked_mul(length))
            .ok_or_else(|| error(rest, format!("{window} is above 584 years")))?;
        let contract = Self::new(max, Duration::from_nanos(nanos))?;
        let form = form.trim_start();
        let words: Vec<&str> = form.split_whitespace().collect();
        match words.join(" ").as_str() {
            "" => Ok(contract),
            word => word
                .parse()
                .map(|kind| contract.of_kind(kind))
                .map_err(|_| error(form, no_form(word))),
        }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn no_unit(number: &str, unit: &str) -> String {
    let units = UNITS.map(|unit| unit.0);
    match nearest(unit, units) {
        Some(meant) => format!("no unit {unit:?}: did you mean {number}{meant}?"),
        None => format!("no unit {unit:?}: use one of {}", units.join(", ")),
    }
}

fn no_form(word: &str) -> String {
    let other = OTHER_NAMES.iter().find(|(other, ..)| *other == word);
    if let Some((_, meaning, kind)) = other {
        return format!("{word:?} is {meaning}: write {kind}");
    }
    let forms = ContractKind::ALL.map(ContractKind::as_str);
    match nearest(word, forms) {
        Some(meant) => format!("no form {word:?}: did you mean {meant}?"),
        None => format!("no form {word:?}: use one of {}", forms.join(", ")),
    }
}

/// The word most like a given one, if any is.
fn nearest<const N: usize>(given: &str, words: [&'static str; N]) -> Option<&'static str> {
    let given = given.to_lowercase();
    let likeness = |word: &&str| strsim::jaro_winkler(&given, word);
    let best = words
        .into_iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.filter(|word| likeness(word) > 0.7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_contract_reads_back() {
        for (text, canonical) in [
            ("10/60s", "10/1m"),
            ("100/1m fixed", "100/1m fixed"),
            ("10/1500ms  token-bucket", "10/1500ms token-bucket"),
            ("1/7ns sliding", "1/7ns"),
            ("10/24h fixed  aligned", "10/1d fixed aligned"),
        ] {
            let contract: Contract = text.parse().unwrap();
            assert_eq!(contract.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(contract));
        }
    }

    #[test]
    fn errors_of_a_text_have_place_and_nearest_word() {
        for (text, error) in [
            ("", "character 1: expected a limit such as 10/2s"),
            ("ten/2s", "character 1: expected a limit"),
            ("10", "character 3: expected / and a window, as in 10/2s"),
            ("10 per 2s", "character 3: expected /"),
            ("99999999999/2s", "character 1: 99999999999 is above"),
            ("0/2s", "contract allows 0"),
            ("10/0s", "contract has a window of zero"),
            ("10/s", "character 4: did you mean 10/1s?"),
            ("10/2", "character 5: no unit \"\": use one of d, h"),
            ("10/2sec", "character 5: no unit \"sec\": did you mean 2s?"),
            (
                "10/15Min fixed",
                "character 6: no unit \"Min\": did you mean 15m?",
            ),
            ("10/2.5s", "character 5: no unit \".5s\""),
            ("1/999999999999d", "character 3: 999999999999d is above"),
            (
                "10/2s gcra",
                "character 7: \"gcra\" is a token bucket: write token-bucket",
            ),
            (
                "10/2s leaky-bucket",
                "character 7: \"leaky-bucket\" is a token bucket",
            ),
            (
                "10/2s  tokenbucket",
                "character 8: no form \"tokenbucket\": did you mean token-bucket?",
            ),
            (
                "10/2s Fixed-Window",
                "character 7: no form \"Fixed-Window\": did you mean fixed?",
            ),
            ("10/2s fixed alinged", "did you mean fixed aligned?"),
            ("10/2s xyz", "no form \"xyz\": use one of sliding, fixed"),
            ("10/2s é", "character 7"),
        ] {
            let found = text.parse::<Contract>().unwrap_err().to_string();
            assert!(found.contains(error), "{text:?}: {found}");
        }
    }
}
