use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use hyper::StatusCode;

/// Statuses: `200-399`, `429,503`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    pub(crate) fn of<const N: usize>(ranges: [RangeInclusive<u16>; N]) -> Self {
        Self(ranges.into())
    }

    /// Whether a status is one of them.
    pub fn has(&self, status: StatusCode) -> bool {
        self.0.iter().any(|range| range.contains(&status.as_u16()))
    }
}

impl FromStr for StatusSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status = |text: &str| {
            let code = text.trim().parse().ok();
            code.filter(|code| (100..=599).contains(code))
                .ok_or_else(|| format!("{text:?} is no HTTP status such as 200-399 or 429,503"))
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Ok(status(first)?..=status(last)?)
        };
        text.split(',')
            .map(range)
            .collect::<Result<_, String>>()
            .map(Self)
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        f.write_str(&self.0.iter().map(part).collect::<Vec<_>>().join(","))
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
    }
}
