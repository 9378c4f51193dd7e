//! A screen for terminals that cannot draw more than ASCII. The last step before output, so that no
//! other character gets out.

use ratatui::buffer::Buffer;

/// Replaces every character beyond `~` by the one in ASCII that looks most like it.
pub(crate) fn fold(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let like = cell.symbol().chars().next().map_or(' ', like);
            cell.set_char(like);
        }
    }
}

fn like(c: char) -> char {
    match c {
        '─' | '╌' | '–' | '—' | '‐' | '‑' => '-',
        '━' | '═' => '=',
        '│' | '┃' | '┊' | '┆' | '┤' | '├' | '▏' | '▕' => '|',
        '┌' | '┐' | '└' | '┘' | '╭' | '╮' | '╰' | '╯' | '┼' | '┬' | '┴' | '╺' | '╸' => {
            '+'
        }
        '┣' => '[',
        '┫' => ']',
        '█' | '■' => '#',
        '▓' | '▒' => '%',
        '░' | '·' => '.',
        '●' | '◉' | '•' => '*',
        '○' | '◌' => 'o',
        '✓' => '+',
        '✗' | '×' => 'x',
        '▶' | '▸' | '→' | '›' | '»' => '>',
        '◀' | '←' | '‹' | '«' => '<',
        '▲' | '↑' => '^',
        '▼' | '↓' => 'v',
        'Σ' | '∑' => 'S',
        'Δ' => 'D',
        '…' => '~',
        '‘' | '’' | '′' => '\'',
        '“' | '”' | '″' => '"',
        '≤' => '<',
        '≥' => '>',
        '±' => '+',
        '≈' => '~',
        '°' => 'o',
        'µ' | 'μ' => 'u',
        'à'..='å' | 'ā' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        'À'..='Å' => 'A',
        'Ç' => 'C',
        'È'..='Ë' => 'E',
        'Ò'..='Ö' => 'O',
        'Ù'..='Ü' => 'U',
        'ß' => 's',
        '\u{2800}'..='\u{28ff}' => dots(u32::from(c) - 0x2800),
        _ => '?',
    }
}

/// Braille dots, by where in the cell they are.
fn dots(bits: u32) -> char {
    let (upper, middle, lower) = (bits & 0x09, bits & 0x36, bits & 0xc0);
    match (upper != 0, middle != 0, lower != 0) {
        (false, false, false) => ' ',
        (true, false, false) => '\'',
        (_, true, false) => '-',
        (false, _, true) => '.',
        (true, _, true) => '|',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    proptest! {
        #[test]
        fn nothing_but_ascii_is_left(text in "\\PC{0,40}") {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 1));
            buffer.set_string(0, 0, &text, Style::new());
            fold(&mut buffer);
            prop_assert!(buffer.content.iter().all(|cell| cell.symbol().is_ascii()));
        }
    }
}
