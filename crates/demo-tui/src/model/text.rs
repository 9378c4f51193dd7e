//! Text that is made to fit.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text, or as much of it as fits, with an ellipsis for the rest.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        kept.push(c);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// Breaks text between words, at most `columns` a line. A line that is indented or begins with a
/// dash hangs: its continuation stands under its first word.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    // A hanging indent leaves room for the widest character.
    let most = columns.saturating_sub(2) / 2;
    let mut wrapped = Vec::new();
    for line in text.split('\n') {
        let words = line.trim_start_matches(' ');
        let indent = (line.len() - words.len()).min(most);
        let hang = if words.starts_with("- ") {
            (indent + 2).min(most)
        } else {
            indent
        };
        let mut current = " ".repeat(indent);
        let mut used = indent;
        let mut empty = true;
        for word in words.split(' ').filter(|w| !w.is_empty()) {
            let word_width = width(word);
            if !empty && used + 1 + word_width > columns {
                wrapped.push(std::mem::replace(&mut current, " ".repeat(hang)));
                used = hang;
                empty = true;
            }
            if !empty {
                current.push(' ');
                used += 1;
            }
            for c in word.chars() {
                let c_width = c.width().unwrap_or(0);
                if used + c_width > columns && !empty {
                    wrapped.push(std::mem::replace(&mut current, " ".repeat(hang)));
                    used = hang;
                }
                // A character wider than the line cannot be shown on it.
                if used + c_width <= columns {
                    current.push(c);
                    used += c_width;
                }
                empty = false;
            }
        }
        wrapped.push(if empty { String::new() } else { current });
    }
    wrapped
}

/// The text with a capital letter at its beginning.
pub(crate) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// A number as one reads it aloud: counts whole, the rest with as many digits as matter.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "-".into()
    } else if size >= 1e9 || (size < 1e-4 && size > 0.0) {
        format!("{value:.1e}")
    } else if size >= 1e6 {
        format!("{:.1}M", value / 1e6)
    } else if size >= 1e4 {
        format!("{:.1}k", value / 1e3)
    } else if value.fract() == 0.0 || size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.01 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// A point of the story's time, as "1:04".
pub(crate) fn clock(at: Duration) -> String {
    format!("{}:{:02}", at.as_secs() / 60, at.as_secs() % 60)
}

/// A length of time, as "3.2 s".
pub(crate) fn seconds(length: Duration) -> String {
    format!("{:.1} s", length.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use outside_text::clean_line;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn broken_lines_hang_under_their_first_word() {
        assert_eq!(wrap("- one two three", 9), ["- one two", "  three"]);
        assert_eq!(wrap("a b\n\n  c d", 5), ["a b", "", " c d"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("ab", 0), "");
    }

    #[test]
    fn numbers_show_the_digits_that_matter() {
        let shown = [0.0, 40.0, 1.5, 12.34, 123.4, 12_345.0, 2e6, -3e12, f64::NAN].map(number);
        assert_eq!(
            shown,
            [
                "0", "40", "1.50", "12.3", "123", "12.3k", "2.0M", "-3.0e12", "-"
            ]
        );
        assert_eq!(
            [0.25, 0.0012, 0.000_012].map(number),
            ["0.25", "0.0012", "1.2e-5"]
        );
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_keep_every_word(text in "[ \
            a-z\n日-]{0,120}", columns in 2usize..40) {
            let wrapped = wrap(&text, columns);
            prop_assert!(wrapped.iter().all(|line| width(line) <= columns), "{wrapped:?}");
            let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&wrapped.concat()), letters(&text));
        }

        #[test]
        fn fitted_text_has_at_most_its_columns(text in ".{0,60}", columns in 0usize..40) {
            prop_assert!(width(&fit(&clean_line(&text), columns)) <= columns);
        }
    }
}
