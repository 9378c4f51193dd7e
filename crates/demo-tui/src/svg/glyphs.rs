//! Lines, blocks and braille as shapes that fill their cell, so that they meet those of the next.

use std::fmt::Write as _;

use super::{HEIGHT, WIDTH};
use crate::panel::dots::BITS;

/// The way in which a path is drawn. Paths of one ink and colour in one row are one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum InkStyle {
    /// Filled, with an opacity in percent.
    Fill(u8),
    /// A line, its width in tenths.
    Line(u8),
    /// A dashed line.
    Dashes,
    /// Round dots.
    Dots,
}

impl InkStyle {
    /// The attributes of a path, with its colour.
    pub(super) fn attributes(self, color: &str) -> String {
        match self {
            Self::Fill(100) => format!("fill=\"{color}\""),
            Self::Fill(percent) => format!("fill=\"{color}\" opacity=\"0.{percent:02}\""),
            Self::Line(tenths) => {
                let width = f64::from(tenths) / 10.0;
                format!("stroke=\"{color}\" stroke-width=\"{width}\" stroke-linecap=\"square\"")
            }
            Self::Dashes => {
                format!("stroke=\"{color}\" stroke-width=\"1.2\" stroke-dasharray=\"3 2\"")
            }
            Self::Dots => {
                format!("stroke=\"{color}\" stroke-width=\"2.8\" stroke-linecap=\"round\"")
            }
        }
    }
}

/// The shapes of a character at `x`, if it is one of those that are drawn.
pub(super) fn glyph(c: char, x: f64) -> Option<Vec<(InkStyle, String)>> {
    Some(match c {
        '\u{2800}'..='\u{28ff}' => vec![(InkStyle::Dots, braille(u32::from(c) - 0x2800, x))],
        '█' => vec![(InkStyle::Fill(100), cell(x))],
        '░' => vec![(InkStyle::Fill(25), cell(x))],
        '▒' => {
            let (right, half) = (x + WIDTH, HEIGHT / 2.0);
            let strokes = format!("M{x} {half}L{right} 0M{x} {HEIGHT}L{right} {half}");
            vec![(InkStyle::Fill(22), cell(x)), (InkStyle::Line(16), strokes)]
        }
        '┊' => vec![(InkStyle::Dashes, format!("M{} 0v{HEIGHT}", x + WIDTH / 2.0))],
        _ => {
            let arms = arms(c)?;
            let ink = if arms.contains(&2) {
                InkStyle::Line(24)
            } else {
                InkStyle::Line(12)
            };
            vec![(ink, lines(arms, x))]
        }
    })
}

/// How thick the line from the middle of the cell to each side is: up, right, down, left; 0 for
/// none, 2 for heavy.
fn arms(c: char) -> Option<[u8; 4]> {
    Some(match c {
        '─' | '╌' => [0, 1, 0, 1],
        '━' => [0, 2, 0, 2],
        '│' => [1, 0, 1, 0],
        '┃' => [2, 0, 2, 0],
        '╭' | '┌' => [0, 1, 1, 0],
        '╮' | '┐' => [0, 0, 1, 1],
        '╰' | '└' => [1, 1, 0, 0],
        '╯' | '┘' => [1, 0, 0, 1],
        '┏' => [0, 2, 2, 0],
        '┓' => [0, 0, 2, 2],
        '┗' => [2, 2, 0, 0],
        '┛' => [2, 0, 0, 2],
        '┣' => [2, 2, 2, 0],
        '┫' => [2, 0, 2, 2],
        _ => return None,
    })
}

fn lines(arms: [u8; 4], x: f64) -> String {
    let (cx, cy) = (x + WIDTH / 2.0, HEIGHT / 2.0);
    let ends = [(cx, 0.0), (x + WIDTH, cy), (cx, HEIGHT), (x, cy)];
    let mut path = String::new();
    for ((ex, ey), _) in ends.iter().zip(arms).filter(|(_, weight)| *weight > 0) {
        let _ = write!(path, "M{cx} {cy}L{ex} {ey}");
    }
    path
}

fn cell(x: f64) -> String {
    format!("M{x} 0h{WIDTH}v{HEIGHT}h-{WIDTH}z")
}

fn braille(bits: u32, left: f64) -> String {
    let mut path = String::new();
    for (y, row) in (0..).zip(BITS) {
        for (x, bit) in (0..).zip(row) {
            if bits & bit != 0 {
                let (dx, dy) = (f64::from(2 * x + 1) / 4.0, f64::from(2 * y + 1) / 8.0);
                let _ = write!(path, "M{} {}h0", left + dx * WIDTH, dy * HEIGHT);
            }
        }
    }
    path
}
