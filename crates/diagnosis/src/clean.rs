//! Text from elsewhere is data: no control sequence, no invisible character, no endless line.

/// `text` without terminal control sequences, control characters and invisible formatting, as one
/// line of at most `max` characters.
///
/// Escape sequences go with their arguments (`ESC [ 31 m`, `ESC ] 0 ; title BEL`), in the seven-bit
/// form and in the single-character form of C1. Line breaks and tabs become spaces.
pub fn capped(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kept = match c {
            '\u{1b}' => {
                match chars.next_if(|c| matches!(c, '[' | ']' | 'P' | 'X' | '^' | '_')) {
                    Some('[') => skip_csi(&mut chars),
                    Some(_) => skip_string(&mut chars),
                    // two characters: the escape and its selection
                    None => skip_short(&mut chars),
                }
                continue;
            }
            '\u{9b}' => {
                skip_csi(&mut chars);
                continue;
            }
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => {
                skip_string(&mut chars);
                continue;
            }
            '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() || is_invisible(c) => continue,
            c => c,
        };
        if length == max {
            out.pop();
            out.push('…');
            break;
        }
        out.push(kept);
        length += 1;
    }
    out.truncate(out.trim_end().len());
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Parameters, then one final letter or sign.
fn skip_csi(chars: &mut Chars<'_>) {
    while chars
        .next_if(|c| matches!(c, '\u{20}'..='\u{3f}'))
        .is_some()
    {}
    chars.next_if(|c| matches!(c, '\u{40}'..='\u{7e}'));
}

/// Everything up to the bell or the string terminator; a string without end is dropped whole.
fn skip_string(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next() {
        if matches!(c, '\u{7}' | '\u{9c}') || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
            return;
        }
    }
}

/// Intermediate characters, then one that is not.
fn skip_short(chars: &mut Chars<'_>) {
    while chars
        .next_if(|c| matches!(c, '\u{20}'..='\u{2f}'))
        .is_some()
    {}
    chars.next_if(|c| matches!(c, '\u{30}'..='\u{7e}'));
}

/// Characters that change how others are shown, or show nothing: marks of direction, joiners, tags.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' |
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_left_alone() {
        assert_eq!(capped("größer als 3 µs → 5", 100), "größer als 3 µs → 5");
    }

    #[test]
    fn escape_sequences_go_with_their_arguments() {
        assert_eq!(capped("a\u{1b}[31;1mred\u{1b}[0m b", 100), "ared b");
        assert_eq!(
            capped("a\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\c", 100),
            "abc"
        );
        assert_eq!(capped("a\u{9b}2Jb\u{9d}0;t\u{9c}c", 100), "abc");
        assert_eq!(capped("a\u{1b}Pq#1\u{1b}\\b\u{1b}(Bc\u{1b}cd", 100), "abcd");
        assert_eq!(capped("a\u{1b}]never ends", 100), "a");
        assert_eq!(capped("a\u{1b}", 100), "a");
    }

    #[test]
    fn text_is_cleaned_to_one_visible_line() {
        assert_eq!(capped("a\u{0}b\u{8}c\rd\ne\tf", 100), "abc d e f");
        assert_eq!(capped("abc\u{202e}fed\u{200b}\u{feff}", 100), "abcfed");
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        assert_eq!(capped("abcdef", 4), "abc…");
        assert_eq!(capped("abcd", 4), "abcd");
        assert_eq!(capped(&"x".repeat(1_000_000), 10).chars().count(), 10);
    }
}
