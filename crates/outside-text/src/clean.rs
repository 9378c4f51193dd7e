use std::borrow::Cow;
use std::fmt::Write as _;

/// Text without control characters and invisible ones, for any output: each is escaped as in JSON,
/// but for line breaks and tabs.
///
/// Inside the strings of JSON, which may hold such characters as they are, the escapes mean the
/// same characters.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text
        .chars()
        .all(|c| is_visible(c) || matches!(c, '\n' | '\t'))
    {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\t' => escaped.push(c),
            c => push(&mut escaped, c),
        }
    }
    Cow::Owned(escaped)
}

/// Text for a place of one line: white space of any kind is a space, and the rest as [`escape`] has
/// it.
pub fn clean_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_whitespace() => line.push(' '),
            c => push(&mut line, c),
        }
    }
    line
}

/// Text to be drawn on several lines, broken where it is broken. A tab is four spaces.
pub fn clean_text(text: &str) -> String {
    let mut drawn = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => drawn.push('\n'),
            '\t' => drawn.push_str("    "),
            '\r' => {}
            c if c.is_whitespace() => drawn.push(' '),
            c => push(&mut drawn, c),
        }
    }
    drawn
}

/// Appends a character, or its escapes: one for each unit of UTF-16, as JSON has them.
fn push(text: &mut String, c: char) {
    if is_visible(c) {
        text.push(c);
        return;
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(text, "\\u{unit:04x}");
    }
}

/// Neither a control character nor an invisible one that changes direction, joins, breaks the line
/// or selects a variant.
fn is_visible(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_and_invisible_characters_are_escaped() {
        assert_eq!(
            clean_line("a\x1b[31mb\nc\u{9b}2Jd\u{202e}e\u{7f}\0"),
            "a\\u001b[31mb c\\u009b2Jd\\u202ee\\u007f\\u0000"
        );
        assert_eq!(clean_text("a\r\nb\tc\x07"), "a\nb    c\\u0007");
        assert_eq!(escape("a\tb\r\n"), "a\tb\\u000d\n");
        assert!(matches!(escape("größer → 5\n"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn escaped_json_means_the_same(text in any::<String>(), odd in any::<char>()) {
            let text = format!("{text}{odd}\u{9b}\u{e0001}");
            let json = serde_json::to_string(&text).unwrap();
            let read: String = serde_json::from_str(&escape(&json)).unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn clean_text_stays_as_it_is(text in any::<String>()) {
            let once = clean_text(&text);
            prop_assert_eq!(clean_text(&once), once.clone());
            prop_assert!(once.chars().all(|c| c == '\n' || is_visible(c)));
            prop_assert!(clean_line(&text).chars().all(is_visible));
        }
    }
}
