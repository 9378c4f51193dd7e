//! The text of a contract: `AMOUNT/WINDOW FORM WORD=VALUE...`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Charging, Contract, ContractError, ContractKind, ContractTime};

/// Other names of the forms.
const OTHER_NAMES: [(&str, &str, ContractKind); 9] = [
    ("gcra", "a token bucket", ContractKind::TokenBucket),
    ("leaky-bucket", "a token bucket", ContractKind::TokenBucket),
    ("bucket", "a token bucket", ContractKind::TokenBucket),
    ("rolling", "a sliding window", ContractKind::Sliding),
    ("aligned", "a fixed window", ContractKind::Aligned),
    (
        "sliding-counter",
        "an estimate from two periods",
        ContractKind::TwoPeriod,
    ),
    ("delayed", "a queue", ContractKind::Paced),
    (
        "concurrent",
        "in-flight, without a window",
        ContractKind::InFlight,
    ),
    (
        "concurrency",
        "in-flight, without a window",
        ContractKind::InFlight,
    ),
];

/// Units of a time, nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A time in the largest unit of which it is a whole number.
struct TimeText(Duration);

impl fmt::Display for TimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let fits = |unit: &&(&str, u64)| nanos > 0 && nanos.is_multiple_of(unit.1.into());
        let (unit, length) = UNITS.iter().find(fits).unwrap_or(&("ns", 1));
        write!(f, "{}{unit}", nanos / u128::from(*length))
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.max)?;
        if !self.window.is_zero() {
            write!(f, "/{}", TimeText(self.window))?;
        }
        if self.kind != ContractKind::Sliding {
            write!(f, " {}", self.kind)?;
        }
        if self.charging != Charging::Before {
            write!(f, " charge={}", self.charging)?;
        }
        for which in ContractTime::ALL {
            if let Some(time) = self.time(which) {
                write!(f, " {which}={}", TimeText(time))?;
            }
        }
        if self.within > 0 {
            write!(f, " within={}%", self.within)?;
        }
        if !self.by.is_empty() {
            write!(f, " by={}", self.by.join("+"))?;
        }
        Ok(())
    }
}

impl Contract {
    /// The promise in a sentence, for people.
    ///
    /// ```
    /// # use ratelimiter_invariants::Contract;
    /// let limit: Contract = "10/2s token-bucket by=user within=10%".parse()?;
    /// assert_eq!(
    ///     limit.sentence(),
    ///     "a bucket of 10 that fills in 2s, for each user; 10% more or less are excused"
    /// );
    /// # Ok::<(), ratelimiter_invariants::ContractError>(())
    /// ```
    pub fn sentence(&self) -> String {
        let (max, window) = (self.max, TimeText(self.window));
        let within = |which, before: &str, after: &str| {
            let time = self.time(which).map(TimeText);
            time.map_or(String::new(), |time| format!("{before}{time}{after}"))
        };
        let mut text = match self.kind {
            ContractKind::Sliding => format!("a cost of at most {max} in any {window}"),
            ContractKind::Fixed => format!("windows of {window} or more, at most {max} in each"),
            ContractKind::Aligned => {
                format!("windows of {window}, the same for all keys, at most {max} in each")
            }
            ContractKind::TokenBucket => format!("a bucket of {max} that fills in {window}"),
            ContractKind::TwoPeriod => {
                format!("at most {max} by an estimate from two periods of {window}")
            }
            ContractKind::Paced => format!(
                "calls wait{} and are released by a bucket of {max} that fills in {window}",
                within(ContractTime::Wait, ", at most ", ",")
            ),
            ContractKind::InFlight => format!(
                "at most {max} calls at once{}{}",
                within(ContractTime::Returns, ", places back ", " after a call"),
                within(ContractTime::Lease, ", ", " after one without an answer")
            ),
        };
        match self.by.as_slice() {
            [] => {}
            [all] if all == "all" => text.push_str(", for all checks together"),
            labels => text.push_str(&format!(", for each {}", labels.join(" and "))),
        }
        text.push_str(match self.charging {
            Charging::Before => "",
            Charging::All => "; denied checks are charged too",
            Charging::After => "; the cost used is charged after the call",
            Charging::Reserved => "; the cost asked for is charged, and the rest given back",
        });
        text.push_str(&within(
            ContractTime::Settles,
            ", at most ",
            " after the answer",
        ));
        if self.within > 0 {
            text.push_str(&format!("; {}% more or less are excused", self.within));
        }
        text
    }
}

impl Serialize for Contract {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A text that is read from its start.
#[derive(Clone, Copy)]
struct ContractText<'t>(&'t str);

impl<'t> ContractText<'t> {
    fn error(self, rest: &str, defect: impl Into<String>) -> ContractError {
        ContractError::Text {
            at: self.0[..self.0.len() - rest.len()].chars().count() + 1,
            defect: defect.into(),
        }
    }

    /// The error at a part of the text.
    fn error_at(self, part: &str, defect: impl Into<String>) -> ContractError {
        let at = part.as_ptr() as usize - self.0.as_ptr() as usize;
        self.error(&self.0[at..], defect)
    }

    /// A time with its unit; `before` is the text that a correction repeats.
    fn time(self, part: &str, before: &str) -> Result<Duration, ContractError> {
        let (number, unit) = split_digits(part);
        let known = UNITS.iter().find(|known| known.0 == unit);
        let Some((_, length)) = known else {
            return Err(self.error_at(&part[number.len()..], no_unit(number, unit)));
        };
        if number.is_empty() {
            return Err(self.error_at(part, format!("did you mean {before}1{unit}?")));
        }
        let nanos = number.parse().ok();
        let nanos = nanos.and_then(|number: u64| number.checked_mul(*length));
        nanos
            .map(Duration::from_nanos)
            .ok_or_else(|| self.error_at(part, format!("{part} is above 584 years")))
    }

    /// The words of the form, and those with a value.
    fn words(rest: &'t str) -> (Vec<&'t str>, Vec<(&'t str, &'t str, &'t str)>) {
        let (mut form, mut valued) = (Vec::new(), Vec::new());
        for word in rest.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => valued.push((word, name, value)),
                None => form.push(word),
            }
        }
        (form, valued)
    }
}

impl FromStr for Contract {
    type Err = ContractError;

    fn from_str(text: &str) -> Result<Self, ContractError> {
        let whole = ContractText(text);
        let (amount, rest) = split_digits(text);
        if amount.is_empty() {
            let defect = "expected a limit such as 10/2s, '100/1m fixed' or '10/2s token-bucket'";
            return Err(whole.error(text, defect));
        }
        let max = amount
            .parse()
            .map_err(|_| whole.error(text, format!("{amount} is above {}", u32::MAX)))?;
        if max == 0 {
            return Err(ContractError::Max);
        }
        let mut contract = Self::sliding(max, Duration::ZERO);
        let mut words = rest;
        if let Some(window) = rest.strip_prefix('/') {
            let end = window.find(' ').unwrap_or(window.len());
            contract.window = whole.time(&window[..end], &format!("{amount}/"))?;
            if contract.window.is_zero() {
                return Err(ContractError::Window);
            }
            words = &window[end..];
        } else if !rest.starts_with(' ') {
            let defect = format!("expected / and a window, as in {amount}/2s, or in-flight");
            return Err(whole.error(rest, defect));
        }
        let (form, valued) = ContractText::words(words);
        let place = form.first().copied().unwrap_or(rest);
        if !form.is_empty() {
            let word = form.join(" ");
            contract.kind = word
                .parse()
                .map_err(|_| whole.error_at(place, no_form(&word, amount)))?;
        }
        match (contract.kind, contract.window.is_zero()) {
            (ContractKind::InFlight, false) => {
                let defect = format!("calls in flight have no window: write {amount} in-flight");
                return Err(whole.error(rest, defect));
            }
            (ContractKind::InFlight, true) | (_, false) => {}
            (kind, true) => {
                let defect = format!("{kind} has a window, as in {amount}/2s {kind}");
                return Err(whole.error_at(place, defect));
            }
        }
        for &(word, name, value) in &valued {
            contract.set(whole, word, name, value)?;
        }
        for (word, name, _) in valued {
            contract
                .suits(name)
                .map_err(|why| whole.error_at(word, why))?;
        }
        Ok(contract)
    }
}

impl Contract {
    fn set(
        &mut self,
        whole: ContractText<'_>,
        word: &str,
        name: &str,
        value: &str,
    ) -> Result<(), ContractError> {
        let error = |defect: String| whole.error_at(word, defect);
        match name {
            "by" => self.by = value.split('+').map(str::to_owned).collect(),
            "charge" => {
                let charging: Result<Charging, _> = value.parse();
                self.charging = charging.map_err(|why| error(why.to_string()))?;
            }
            "within" => {
                let share = value.strip_suffix('%').and_then(|share| share.parse().ok());
                let share = share.filter(|share| *share < 100);
                self.within = share.ok_or_else(|| {
                    error("within= is a share below 100%, as in within=10%".to_owned())
                })?;
            }
            _ => match name.parse::<ContractTime>() {
                Ok(which) => {
                    let before = format!("{which}=");
                    self.times[which as usize] = Some(whole.time(value, &before)?);
                }
                Err(_) => return Err(error(no_word(name))),
            },
        }
        Ok(())
    }

    /// Whether a word has its place in this contract.
    fn suits(&self, name: &str) -> Result<(), String> {
        let waits = matches!(self.kind, ContractKind::Paced | ContractKind::InFlight);
        match name {
            "by" if self.by.iter().any(String::is_empty) => {
                Err("by= has the labels that have a counter each, as in by=user+route".to_owned())
            }
            "charge" if waits && self.charging != Charging::Before => {
                Err(format!("{} charges before", self.kind))
            }
            _ => match name.parse::<ContractTime>() {
                Ok(which) if !which.fits(self) => {
                    let of = match which {
                        ContractTime::Settles => "charge=after and charge=reserved",
                        ContractTime::Returns => "in-flight",
                        ContractTime::Lease => "in-flight, charge=after and charge=reserved",
                        ContractTime::Wait => "paced",
                    };
                    Err(format!("{which}= is of {of}"))
                }
                _ => Ok(()),
            },
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

fn no_form(word: &str, amount: &str) -> String {
    let other = OTHER_NAMES.iter().find(|(other, ..)| *other == word);
    if let Some((_, meaning, kind)) = other {
        let amount = match kind {
            ContractKind::InFlight => format!("{amount} "),
            _ => String::new(),
        };
        return format!("{word:?} is {meaning}: write {amount}{kind}");
    }
    let forms = ContractKind::ALL.map(ContractKind::as_str);
    match nearest(word, forms) {
        Some(meant) => format!("no form {word:?}: did you mean {meant}?"),
        None => format!("no form {word:?}: use one of {}", forms.join(", ")),
    }
}

fn no_word(name: &str) -> String {
    let [settles, returns, lease, wait] = ContractTime::ALL.map(ContractTime::as_str);
    let words = ["by", "charge", "within", settles, returns, lease, wait];
    match nearest(name, words) {
        Some(meant) => format!("no word {name:?}: did you mean {meant}=?"),
        None => format!("no word {name:?}: use one of {}", words.join(", ")),
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
            ("10/2s within=5% two-period", "10/2s two-period within=5%"),
            ("3 in-flight  lease=1000ms", "3 in-flight lease=1s"),
            (
                "9/1s settles=0s charge=after",
                "9/1s charge=after settles=0ns",
            ),
            ("9/1s charge=before by=a+b", "9/1s by=a+b"),
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
            (
                "10",
                "character 3: expected / and a window, as in 10/2s, or in-flight",
            ),
            ("10 per 2s", "character 4: no form \"per 2s\""),
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
            (
                "10/2s 2period",
                "no form \"2period\": did you mean two-period?",
            ),
            (
                "10/2s concurrent",
                "is in-flight, without a window: write 10 in-flight",
            ),
            (
                "10/2s in-flight",
                "character 3: calls in flight have no window: write 10 in-flight",
            ),
            (
                "10 fixed",
                "character 4: fixed has a window, as in 10/2s fixed",
            ),
            ("10/2s fixed wait=1s", "character 13: wait= is of paced"),
            (
                "10/2s settles=1s",
                "character 7: settles= is of charge=after and charge=reserved",
            ),
            (
                "10/2s paced charge=after",
                "character 13: paced charges before",
            ),
            (
                "10/2s within=ten",
                "character 7: within= is a share below 100%, as in within=10%",
            ),
            (
                "10/2s within=100%",
                "character 7: within= is a share below 100%",
            ),
            (
                "10/2s charge=later",
                "character 7: \"later\" is not a charging: use one of before",
            ),
            ("10/2s paced wait=3", "character 19: no unit \"\""),
            (
                "10/2s by=",
                "character 7: by= has the labels that have a counter each",
            ),
            (
                "10/2s setles=1s",
                "character 7: no word \"setles\": did you mean settles=?",
            ),
            ("10/2s é", "character 7"),
        ] {
            let found = text.parse::<Contract>().unwrap_err().to_string();
            assert!(found.contains(error), "{text:?}: {found}");
        }
    }
}
