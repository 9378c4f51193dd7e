use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use hyper::StatusCode;

/// Statuses: `200-399`, `429,503`, and `close` for a connection that is closed without an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusSet {
    ranges: Vec<RangeInclusive<u16>>,
    close: bool,
}

/// The word for a closed connection.
const CLOSE: &str = "close";

impl StatusSet {
    pub(crate) fn of<const N: usize>(ranges: [RangeInclusive<u16>; N]) -> Self {
        Self {
            ranges: ranges.into(),
            close: false,
        }
    }

    /// Whether a status is one of them.
    pub fn has(&self, status: StatusCode) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|range| range.contains(&status.as_u16()))
    }

    /// Whether a connection that is closed without an answer is one of them.
    pub(crate) fn has_close(&self) -> bool {
        self.close
    }
}

impl FromStr for StatusSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status = |text: &str| {
            let code = text.trim().parse().ok();
            code.filter(|code| (100..=599).contains(code))
                .ok_or_else(|| {
                    format!("{text:?} is no HTTP status such as 200-399 or 429,503, nor close")
                })
        };
        let mut set = Self::default();
        for part in text.split(',') {
            if part.trim() == CLOSE {
                set.close = true;
                continue;
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            set.ranges.push(status(first)?..=status(last)?);
        }
        Ok(set)
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let close = self.close.then(|| CLOSE.to_owned());
        let parts = self.ranges.iter().map(part).chain(close);
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_ranges_and_lists() {
        let set: StatusSet = "200-399,503".parse().unwrap();
        let has = |code| set.has(StatusCode::from_u16(code).unwrap());
        assert!(has(200) && has(399) && has(503) && !has(400) && !has(429));
        assert_eq!(set.to_string(), "200-399,503");
        assert!("2xx".parse::<StatusSet>().is_err());
        let close: StatusSet = "close,429".parse().unwrap();
        assert!(close.has_close() && !set.has_close());
        assert_eq!(close.to_string(), "429,close");
    }
}
