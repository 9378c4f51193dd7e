//! A picture of a screen that looks the same everywhere: text is text, but lines, blocks and
//! braille are drawn, since fonts do not agree on them.

mod colors;
mod glyphs;
mod row;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use ratatui::buffer::Buffer;

/// The size of a cell.
pub(crate) const WIDTH: f64 = 9.0;
pub(crate) const HEIGHT: f64 = 20.0;
const MARGIN: f64 = 14.0;
const BASELINE: f64 = 14.5;
const FONT_SIZE: f64 = 15.0;

/// Draws a screen as a self-contained SVG, on a dark or a light ground.
///
/// ```
/// use demo_tui::{Offscreen, ScreenOptions, svg};
///
/// let mut screen = Offscreen::new(&ScreenOptions::default());
/// let picture = svg(&screen.draw(80, 24), false);
/// assert!(picture.starts_with("<svg "));
/// ```
pub fn svg(screen: &Buffer, light: bool) -> String {
    let ground = colors::PictureGround::new(light);
    let mut out = head(screen, &ground);
    for y in screen.area.top()..screen.area.bottom() {
        let row = row::row(screen, y, &ground);
        if !row.is_empty() {
            let _ = writeln!(
                out,
                "<g transform=\"translate(0 {})\">\n{row}</g>",
                top(screen, y)
            );
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Draws screens that follow each other as one moving picture without a script, up to `end` and
/// from the beginning again.
///
/// The screens stand side by side as on a film that moves in steps. Each row that occurs is drawn
/// once.
pub(crate) fn moving(screens: &[(Duration, Buffer)], end: Duration, light: bool) -> String {
    let Some((_, first)) = screens.first() else {
        return String::new();
    };
    let ground = colors::PictureGround::new(light);
    let (width, height) = (
        f64::from(first.area.width) * WIDTH,
        f64::from(first.area.height) * HEIGHT,
    );
    let (mut known, mut defs, mut film) = (HashMap::new(), String::new(), String::new());
    let mut steps = String::new();
    for (nth, (at, screen)) in screens.iter().enumerate() {
        let shift = nth as f64 * width;
        let percent = at.as_secs_f64() / end.as_secs_f64().max(0.001) * 100.0;
        let _ = writeln!(steps, "{percent:.3}%{{transform:translateX(-{shift}px)}}");
        let _ = writeln!(film, "<g transform=\"translate({shift} 0)\">");
        for y in screen.area.top()..screen.area.bottom() {
            let row = row::row(screen, y, &ground);
            if row.is_empty() {
                continue;
            }
            let next = known.len();
            let id = *known.entry(row).or_insert_with_key(|row| {
                let _ = writeln!(defs, "<g id=\"r{next}\">\n{row}</g>");
                next
            });
            let _ = writeln!(film, "<use href=\"#r{id}\" y=\"{}\"/>", top(screen, y));
        }
        film.push_str("</g>\n");
    }
    let last = (screens.len() - 1) as f64 * width;
    let seconds = end.as_secs_f64();
    format!(
        "{}<style>@keyframes film{{\n{steps}100%{{transform:translateX(-{last}px)}}\n}}\n\
         .film{{animation:film {seconds:.2}s steps(1,end) infinite}}\n\
         @media (prefers-reduced-motion:reduce)\
         {{.film{{animation:none;transform:translateX(-{last}px)}}}}</style>\n\
         <defs>\n{defs}</defs>\n\
         <svg width=\"{width}\" height=\"{height}\"><g \
         class=\"film\">\n{film}</g></svg>\n</g>\n</svg>\n",
        head(first, &ground)
    )
}

/// The opening tags and the ground.
fn head(screen: &Buffer, ground: &colors::PictureGround) -> String {
    let width = f64::from(screen.area.width) * WIDTH + 2.0 * MARGIN;
    let height = f64::from(screen.area.height) * HEIGHT + 2.0 * MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{}\"/>\n\
         <g transform=\"translate({MARGIN} {MARGIN})\" font-size=\"{FONT_SIZE}\" \
         xml:space=\"preserve\" \
         font-family=\"ui-monospace,'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace\" \
         fill=\"none\">\n",
        ground.back
    )
}

fn top(screen: &Buffer, y: u16) -> f64 {
    f64::from(y - screen.area.y) * HEIGHT
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::{Color, Style};

    use super::*;

    fn screen(words: &str) -> Buffer {
        let mut screen = Buffer::empty(Rect::new(0, 0, 8, 2));
        screen.set_string(0, 0, words, Style::new().fg(Color::Indexed(203)).bold());
        screen.set_string(0, 1, "─▒⠉", Style::new().reversed());
        screen
    }

    #[test]
    fn words_are_text_and_lines_are_drawn() {
        let picture = svg(&screen("a<b & c"), false);
        assert!(
            picture.contains(">a&lt;b\u{a0}&amp;\u{a0}c</text>"),
            "{picture}"
        );
        assert!(
            picture.contains("fill=\"#ff5f5f\" font-weight=\"bold\""),
            "{picture}"
        );
        assert!(!picture.contains(['─', '▒', '⠉']), "{picture}");
    }

    #[test]
    fn rows_of_a_film_are_drawn_once() {
        let at = Duration::from_secs;
        let screens = [
            (at(0), screen("one")),
            (at(1), screen("two")),
            (at(3), screen("one")),
        ];
        let film = moving(&screens, at(4), false);
        assert_eq!(film.matches("<text").count(), 2, "{film}");
        assert_eq!(film.matches("<use ").count(), 6, "{film}");
        assert!(
            film.contains("25.000%{transform:translateX(-72px)}"),
            "{film}"
        );
    }
}
