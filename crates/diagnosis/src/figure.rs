//! Numbers as they are written in text.

/// A number that is short to read at any size: plain within reason, with an exponent beyond.
pub(crate) fn figure(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e9).contains(&size) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// The same in as few digits as stay within one per cent; a count keeps all of its digits.
pub(crate) fn short(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e4 {
        return figure(value);
    }
    let few = |digits: usize| format!("{value:.digits$e}").parse::<f64>().unwrap_or(value);
    let close = |v: &f64| (v - value).abs() <= 0.009 * value.abs();
    figure([1, 2, 3].map(few).into_iter().find(close).unwrap_or(value))
}

/// Two values that are compared, in as few digits as tell them apart.
pub(crate) fn pair(before: f64, after: f64) -> (String, String) {
    let few = (short(before), short(after));
    if few.0 == few.1 {
        (figure(before), figure(after))
    } else {
        few
    }
}

/// A moment in seconds, to a hundredth before ten seconds, then to a tenth.
pub(crate) fn moment(seconds: f64) -> String {
    let parts = if seconds < 10.0 { 100.0 } else { 10.0 };
    figure((seconds * parts).round() / parts)
}

/// The same with its unit, when it has one.
pub(crate) fn with_unit(value: f64, unit: &str) -> String {
    with(&short(value), unit)
}

/// A number that is written already, with its unit.
pub(crate) fn with(number: &str, unit: &str) -> String {
    if unit.is_empty() {
        number.to_owned()
    } else {
        format!("{number} {unit}")
    }
}

/// A word as it can stand in a sentence: in quotes when it could be taken for a number.
pub(crate) fn word(text: &str) -> String {
    if text.chars().any(char::is_alphabetic) {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_for_extreme_numbers() {
        assert_eq!(figure(0.0), "0");
        assert_eq!(figure(12_340_000.0), "12340000");
        assert_eq!(figure(0.0012), "0.0012");
        assert_eq!(figure(1.086e-7), "1.086e-7");
        assert_eq!(figure(-2e300), "-2e300");
        assert_eq!(with_unit(3.5, "ms"), "3.5 ms");
        assert_eq!(with_unit(3.5, ""), "3.5");
    }

    #[test]
    fn few_digits_stay_within_one_per_cent() {
        assert_eq!(short(9.202), "9.2");
        assert_eq!(short(0.3975), "0.4");
        assert_eq!(short(101.4), "101");
        assert_eq!(short(10.22), "10.2");
        assert_eq!(short(1234.0), "1234");
        assert_eq!(short(0.0), "0");
    }
}
