//! Times and durations as records spell them: numbers of a unit, ISO 8601, and the dates of access
//! logs. All in integers, since rounding must not decide.

use std::str::FromStr;

const NANOS: u64 = 1_000_000_000;

/// The unit of a number, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeUnit(u64);

impl TimeUnit {
    pub(super) const SECOND: Self = Self(NANOS);
    pub(super) const MILLI: Self = Self(NANOS / 1_000);
}

impl FromStr for TimeUnit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", NANOS)];
        let known = units.iter().find(|known| known.0 == text);
        known
            .map(|known| Self(known.1))
            .ok_or_else(|| format!("no unit {text:?}: use ns, us, ms or s"))
    }
}

/// A time or a duration as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Nanoseconds.
    pub(super) nanos: u64,
    /// One unit of the last digit, nanoseconds: the true value lies less than this above.
    pub(super) resolution: u64,
    /// Whether it is a date without a zone.
    pub(super) is_local: bool,
}

impl Stamp {
    /// Reads a number, or a date.
    pub(super) fn read(text: &str, unit: TimeUnit) -> Option<Self> {
        Self::number(text, unit).or_else(|| date(text.as_bytes()))
    }

    /// Reads a number.
    pub(super) fn number(text: &str, unit: TimeUnit) -> Option<Self> {
        number(text.as_bytes(), unit)
    }
}

/// A decimal number of a unit: `1700000000.123`. Numbers with an exponent have a tenth of a
/// microsecond at most.
fn number(text: &[u8], TimeUnit(unit): TimeUnit) -> Option<Stamp> {
    let (mut value, mut place, mut fraction) = (0_u64, unit, None);
    if text.is_empty() {
        return None;
    }
    for &byte in text {
        match (byte, fraction) {
            (b'0'..=b'9', None) => {
                value = value.checked_mul(10)?.checked_add((byte - b'0').into())?;
            }
            // Digits below a nanosecond are lost.
            (b'0'..=b'9', Some(so_far)) => {
                place /= 10;
                fraction = Some(so_far + place * u64::from(byte - b'0'));
            }
            (b'.', None) => fraction = Some(0),
            (b'e' | b'E', _) => return with_exponent(text, unit),
            _ => return None,
        }
    }
    let nanos = value
        .checked_mul(unit)?
        .checked_add(fraction.unwrap_or(0))?;
    Some(Stamp {
        nanos,
        resolution: place.max(1),
        is_local: false,
    })
}

fn with_exponent(text: &[u8], unit: u64) -> Option<Stamp> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let nanos = value * unit as f64;
    (nanos >= 0.0 && nanos < u64::MAX as f64).then_some(Stamp {
        nanos: nanos as u64,
        resolution: 1_000,
        is_local: false,
    })
}

/// A place in a text of digits.
struct Cursor<'t>(&'t [u8]);

impl Cursor<'_> {
    /// A number of so many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.iter().try_fold(0, |value, byte| {
            byte.is_ascii_digit()
                .then(|| value * 10 + i64::from(byte - b'0'))
        })
    }

    fn skip(&mut self, any: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        any.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }
}

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// `2026-11-30T21:50:48.123Z`, `30/Nov/2026:21:50:48.123 +0100`; in brackets or not, with a zone or
/// not.
fn date(text: &[u8]) -> Option<Stamp> {
    let text = text.strip_prefix(b"[").unwrap_or(text);
    let mut rest = Cursor(text.strip_suffix(b"]").unwrap_or(text));
    let (year, month, day);
    if rest.0.get(2) == Some(&b'/') {
        day = rest.digits(2)?;
        rest.skip(b"/")?;
        let (name, after) = rest.0.split_at_checked(3)?;
        month = MONTHS.chunks(3).position(|month| month == name)? as i64 + 1;
        rest = Cursor(after);
        rest.skip(b"/")?;
        year = rest.digits(4)?;
        rest.skip(b":")?;
    } else {
        year = rest.digits(4)?;
        rest.skip(b"-")?;
        month = rest.digits(2)?;
        rest.skip(b"-")?;
        day = rest.digits(2)?;
        rest.skip(b"T t")?;
    }
    let hour = rest.digits(2)?;
    rest.skip(b":")?;
    let minute = rest.digits(2)?;
    rest.skip(b":")?;
    let second = rest.digits(2)?;
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let (mut fraction, mut place) = (0, NANOS);
    if valid && rest.skip(b".,").is_some() {
        while let Some(digit) = rest.skip(b"0123456789") {
            place /= 10;
            fraction += place * u64::from(digit - b'0');
        }
    }
    rest.skip(b" ");
    let zone = zone(rest)?;
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    let utc = u64::try_from(seconds - zone.unwrap_or(0)).ok()?;
    valid.then_some(Stamp {
        nanos: utc.checked_mul(NANOS)? + fraction,
        resolution: place.max(1),
        is_local: zone.is_none(),
    })
}

/// Seconds ahead of UTC, if the text has a zone.
fn zone(mut rest: Cursor<'_>) -> Option<Option<i64>> {
    if rest.0.is_empty() {
        return Some(None);
    }
    let seconds = match rest.skip(b"Zz+-")? {
        b'Z' | b'z' => 0,
        sign => {
            let hours = rest.digits(2)?;
            rest.skip(b":");
            let seconds = (hours * 60 + rest.digits(2)?) * 60;
            if sign == b'-' { -seconds } else { seconds }
        }
    };
    rest.0.is_empty().then_some(Some(seconds))
}

/// Days since 1970 of a day in the Gregorian calendar. Years begin in March, so that a leap day is
/// their last; 400 of them have 146,097 days (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, unit: &str) -> Option<(u64, u64)> {
        let stamp = Stamp::read(text, unit.parse().unwrap())?;
        Some((stamp.nanos, stamp.resolution))
    }

    #[test]
    fn numbers_have_the_resolution_of_their_last_digit() {
        assert_eq!(read("12", "s"), Some((12 * NANOS, NANOS)));
        assert_eq!(read("0.0034", "s"), Some((3_400_000, 100_000)));
        assert_eq!(read("1204.113", "ms"), Some((1_204_113_000, 1_000)));
        assert_eq!(read("1.5e3", "ms"), Some((1_500_000_000, 1_000)));
        for wrong in [
            "",
            "-1",
            "1.2.3",
            "1e99",
            "0x1",
            "99999999999999999999",
            "nan",
        ] {
            assert_eq!(read(wrong, "s"), None, "{wrong}");
        }
    }

    #[test]
    fn dates_are_read_in_every_spelling() {
        let instant = 1_796_075_448 * NANOS;
        for (text, resolution) in [
            ("30/Nov/2026:21:50:48 +0000", NANOS),
            ("[30/Nov/2026:22:50:48 +0100]", NANOS),
            ("2026-11-30T16:50:48-05:00", NANOS),
            ("2026-11-30T21:50:48.000Z", 1_000_000),
            ("2026-11-30 21:50:48,000000000+00:00", 1),
        ] {
            assert_eq!(read(text, "s"), Some((instant, resolution)), "{text}");
        }
        assert_eq!(read("1970-01-01T00:00:00Z", "s"), Some((0, NANOS)));
        assert_eq!(
            read("2000-03-01T00:00:00Z", "s"),
            Some((951_868_800 * NANOS, NANOS))
        );
        let local = Stamp::read("30/Nov/2026:21:50:48.123", TimeUnit::SECOND);
        assert!(local.unwrap().is_local);
        for wrong in [
            "30/Nox/2026:21:50:48 +0000",
            "2026-13-30T21:50:48Z",
            "2026-11-30",
        ] {
            assert_eq!(read(wrong, "s"), None, "{wrong}");
        }
    }
}
