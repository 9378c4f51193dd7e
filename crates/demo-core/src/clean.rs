//! Text from elsewhere, without what controls a terminal.

/// Text that may be drawn on one line: nothing in it moves the cursor, hides or reorders the text
/// beside it.
pub fn clean_line(text: &str) -> String {
    text.chars()
        .filter_map(|c| {
            if c.is_whitespace() {
                Some(' ')
            } else {
                printable(c)
            }
        })
        .collect()
}

/// Text that may be drawn on several lines, broken where it is broken.
pub fn clean_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push('\n'),
            '\t' => safe.push_str("    "),
            '\r' => {}
            c if c.is_whitespace() => safe.push(' '),
            c => safe.extend(printable(c)),
        }
    }
    safe
}

/// Drops control characters, and the invisible ones that change direction, join, or select a
/// variant.
fn printable(c: char) -> Option<char> {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    (!c.is_control() && !invisible).then_some(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_controls_a_terminal_is_left() {
        assert_eq!(
            clean_line("a\x1b[31mb\nc\u{9b}2Jd\u{202e}e\u{7f}\0"),
            "a[31mb c2Jde"
        );
        assert_eq!(clean_text("a\r\nb\tc\x07"), "a\nb    c");
    }

    proptest! {
        #[test]
        fn safe_text_stays_as_it_is(text in ".{0,60}") {
            let safe = clean_text(&text);
            prop_assert_eq!(clean_text(&safe), safe.clone());
            prop_assert!(!safe.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
