//! Numbers as they are written in text.

/// A number that is short to read whatever its size: plain within reason, with an exponent beyond.
pub(crate) fn figure(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e9).contains(&size) { value.to_string() } else { format!("{value:e}") }
}

/// The same with its unit, when it has one.
pub(crate) fn with_unit(value: f64, unit: &str) -> String {
    if unit.is_empty() { figure(value) } else { format!("{} {unit}", figure(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_for_the_very_large_and_the_very_small() {
        assert_eq!(figure(0.0), "0");
        assert_eq!(figure(12_340_000.0), "12340000");
        assert_eq!(figure(0.0012), "0.0012");
        assert_eq!(figure(1.086e-7), "1.086e-7");
        assert_eq!(figure(-2e300), "-2e300");
        assert_eq!(with_unit(3.5, "ms"), "3.5 ms");
        assert_eq!(with_unit(3.5, ""), "3.5");
    }
}
