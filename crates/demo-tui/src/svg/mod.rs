//! A picture of a screen that looks the same everywhere: text is text, but lines, blocks and braille are drawn, since
//! fonts do not agree on them.

mod colors;
mod glyphs;

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use crate::model::text;

/// The size of a cell.
pub(crate) const WIDTH: f64 = 9.0;
pub(crate) const HEIGHT: f64 = 20.0;
const MARGIN: f64 = 14.0;
const BASELINE: f64 = 14.5;
const FONT_SIZE: f64 = 15.0;

/// Draws a screen as a self-contained SVG, on a dark or a light ground.
///
/// ```
/// use demo_tui::{Options, Replay, svg};
///
/// let mut replay = Replay::new(&Options::default());
/// let picture = svg(&replay.draw(80, 24), false);
/// assert!(picture.starts_with("<svg "));
/// ```
pub fn svg(screen: &Buffer, light: bool) -> String {
    let ground = colors::Ground::new(light);
    let width = f64::from(screen.area.width) * WIDTH + 2.0 * MARGIN;
    let height = f64::from(screen.area.height) * HEIGHT + 2.0 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{}\"/>\n\
         <g transform=\"translate({MARGIN} {MARGIN})\" font-size=\"{FONT_SIZE}\" xml:space=\"preserve\" \
         font-family=\"ui-monospace,'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace\">\n",
        ground.back
    );
    for y in screen.area.top()..screen.area.bottom() {
        row(&mut out, screen, y, &ground);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Cells next to each other that look alike.
struct Run {
    x: u16,
    columns: u16,
    text: String,
    fore: String,
    modifiers: Modifier,
}

fn row(out: &mut String, screen: &Buffer, y: u16, ground: &colors::Ground) {
    let top = f64::from(y - screen.area.y) * HEIGHT;
    let mut runs: Vec<Run> = Vec::new();
    let mut backs: Vec<(u16, u16, String)> = Vec::new();
    let mut x = screen.area.left();
    while x < screen.area.right() {
        let cell = &screen[(x, y)];
        let columns = u16::try_from(text::width(cell.symbol())).unwrap_or(1).max(1);
        let (fore, back) = inks(cell, ground);
        if let Some(back) = back {
            match backs.last_mut() {
                Some((from, length, color)) if *color == back && *from + *length == x => *length += columns,
                _ => backs.push((x, columns, back)),
            }
        }
        let drawn = cell.symbol().chars().next().and_then(|c| glyphs::glyph(c, left(screen, x), top, &fore));
        if let Some(drawn) = drawn {
            runs.push(Run { x, columns, text: drawn, fore: String::new(), modifiers: Modifier::empty() });
        } else if cell.symbol() != " " || !cell.modifier.is_empty() {
            match runs.last_mut() {
                Some(run) if !run.fore.is_empty() && run.joins(x, &fore, cell.modifier) => {
                    run.text.push_str(cell.symbol());
                    run.columns += columns;
                }
                _ => {
                    runs.push(Run { x, columns, text: cell.symbol().into(), fore, modifiers: cell.modifier });
                }
            }
        }
        x += columns;
    }
    for (x, columns, color) in backs {
        let (x, width) = (left(screen, x), f64::from(columns) * WIDTH);
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{color}\"/>"
        );
    }
    for run in &runs {
        if run.fore.is_empty() {
            out.push_str(&run.text);
        } else if !run.text.trim().is_empty() {
            run.write(out, left(screen, run.x), top);
        }
    }
}

fn left(screen: &Buffer, x: u16) -> f64 {
    f64::from(x - screen.area.x) * WIDTH
}

/// The colours of text and, where it is not the ground's, of its background.
fn inks(cell: &Cell, ground: &colors::Ground) -> (String, Option<String>) {
    let fore = ground.color(cell.fg).unwrap_or_else(|| ground.fore.to_owned());
    let back = ground.color(cell.bg);
    if cell.modifier.contains(Modifier::REVERSED) {
        (back.unwrap_or_else(|| ground.back.to_owned()), Some(fore))
    } else {
        (fore, back.filter(|_| cell.bg != Color::Reset))
    }
}

impl Run {
    fn joins(&self, x: u16, fore: &str, modifiers: Modifier) -> bool {
        self.x + self.columns == x && self.fore == fore && self.modifiers == modifiers
    }

    fn write(&self, out: &mut String, x: f64, top: f64) {
        let mut style = String::new();
        if self.modifiers.contains(Modifier::BOLD) {
            style.push_str(" font-weight=\"bold\"");
        }
        if self.modifiers.contains(Modifier::DIM) {
            style.push_str(" opacity=\"0.6\"");
        }
        if self.modifiers.contains(Modifier::UNDERLINED) {
            style.push_str(" text-decoration=\"underline\"");
        }
        // The length is fixed, so that another font does not shift the text after it.
        let length = f64::from(self.columns) * WIDTH;
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{style}>{}</text>",
            top + BASELINE,
            self.fore,
            escaped(&self.text)
        );
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            ' ' => safe.push('\u{a0}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn words_are_text_and_lines_are_drawn() {
        let mut screen = Buffer::empty(Rect::new(0, 0, 8, 2));
        screen.set_string(0, 0, "a<b & c", Style::new().fg(Color::Indexed(203)).bold());
        screen.set_string(0, 1, "─▒⠉", Style::new().reversed());
        let picture = svg(&screen, false);
        assert!(picture.contains(">a&lt;b\u{a0}&amp;\u{a0}c</text>"), "{picture}");
        assert!(picture.contains("fill=\"#ff5f5f\" font-weight=\"bold\""), "{picture}");
        assert!(!picture.contains(['─', '▒', '⠉']), "{picture}");
    }
}
