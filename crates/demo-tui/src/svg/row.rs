//! One row of a screen as elements, with the row's top at zero.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::colors::PictureGround;
use super::glyphs::{InkStyle, glyph};
use super::{BASELINE, HEIGHT, WIDTH};
use crate::model::text;

/// Cells next to each other that look alike.
struct StyledRun {
    x: u16,
    columns: u16,
    text: String,
    fore: String,
    modifiers: Modifier,
}

/// The elements of a row: backgrounds, then shapes, then text.
pub(super) fn row(screen: &Buffer, y: u16, ground: &PictureGround) -> String {
    let mut runs: Vec<StyledRun> = Vec::new();
    let mut backs: Vec<(u16, u16, String)> = Vec::new();
    let mut shapes: BTreeMap<(InkStyle, String), String> = BTreeMap::new();
    let mut x = screen.area.left();
    while x < screen.area.right() {
        let cell = &screen[(x, y)];
        let columns = u16::try_from(text::width(cell.symbol()))
            .unwrap_or(1)
            .max(1);
        let (fore, back) = inks(cell, ground);
        if let Some(back) = back {
            match backs.last_mut() {
                Some((from, length, color)) if *color == back && *from + *length == x => {
                    *length += columns;
                }
                _ => backs.push((x, columns, back)),
            }
        }
        if let Some(drawn) = cell
            .symbol()
            .chars()
            .next()
            .and_then(|c| glyph(c, left(screen, x)))
        {
            for (ink, path) in drawn {
                shapes
                    .entry((ink, fore.clone()))
                    .or_default()
                    .push_str(&path);
            }
        } else if cell.symbol() != " " || !cell.modifier.is_empty() {
            match runs.last_mut() {
                Some(run) if run.joins(x, &fore, cell.modifier) => {
                    run.text.push_str(cell.symbol());
                    run.columns += columns;
                }
                _ => {
                    runs.push(StyledRun {
                        x,
                        columns,
                        text: cell.symbol().into(),
                        fore,
                        modifiers: cell.modifier,
                    });
                }
            }
        }
        x += columns;
    }
    let mut out = String::new();
    for (x, columns, color) in backs {
        let (x, width) = (left(screen, x), f64::from(columns) * WIDTH);
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{color}\"/>"
        );
    }
    for ((ink, color), path) in shapes {
        let _ = writeln!(out, "<path d=\"{path}\" {}/>", ink.attributes(&color));
    }
    for run in runs.iter().filter(|run| !run.text.trim().is_empty()) {
        run.write(&mut out, left(screen, run.x));
    }
    out
}

fn left(screen: &Buffer, x: u16) -> f64 {
    f64::from(x - screen.area.x) * WIDTH
}

/// The colours of text and, where it is not the ground's, of its background.
fn inks(cell: &Cell, ground: &PictureGround) -> (String, Option<String>) {
    let fore = ground
        .color(cell.fg)
        .unwrap_or_else(|| ground.fore.to_owned());
    let back = ground.color(cell.bg);
    if cell.modifier.contains(Modifier::REVERSED) {
        (back.unwrap_or_else(|| ground.back.to_owned()), Some(fore))
    } else {
        (fore, back.filter(|_| cell.bg != Color::Reset))
    }
}

impl StyledRun {
    fn joins(&self, x: u16, fore: &str, modifiers: Modifier) -> bool {
        self.x + self.columns == x && self.fore == fore && self.modifiers == modifiers
    }

    fn write(&self, out: &mut String, x: f64) {
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
            "<text x=\"{x}\" y=\"{BASELINE}\" textLength=\"{length}\" \
             lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{style}>{}</text>",
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
