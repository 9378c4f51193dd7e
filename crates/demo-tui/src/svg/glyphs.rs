//! Lines, blocks and braille as shapes that fill their cell, so that they meet those of the next.

use std::fmt::Write as _;

use super::{HEIGHT, WIDTH};

/// The shapes of a character, if it is one of those that are drawn.
pub(super) fn glyph(c: char, x: f64, y: f64, color: &str) -> Option<String> {
    match c {
        '\u{2800}'..='\u{28ff}' => Some(braille(u32::from(c) - 0x2800, x, y, color)),
        '█' => Some(block(x, y, 1.0, color)),
        '░' => Some(block(x, y, 0.25, color)),
        '▒' => Some(hatch(x, y, color)),
        '┊' => Some(stroke(&format!("M{} {y}v{HEIGHT}", x + WIDTH / 2.0), 1.2, Some("3 2"), color)),
        _ => arms(c).map(|arms| lines(arms, x, y, color)),
    }
}

/// How thick the line from the middle of the cell to each side is: up, right, down, left; 0 for none, 2 for heavy.
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

fn lines(arms: [u8; 4], x: f64, y: f64, color: &str) -> String {
    let (cx, cy) = (x + WIDTH / 2.0, y + HEIGHT / 2.0);
    let ends = [(cx, y), (x + WIDTH, cy), (cx, y + HEIGHT), (x, cy)];
    let mut path = String::new();
    for ((ex, ey), _) in ends.iter().zip(arms).filter(|(_, weight)| *weight > 0) {
        let _ = write!(path, "M{cx} {cy}L{ex} {ey}");
    }
    let weight = if arms.contains(&2) { 2.4 } else { 1.2 };
    stroke(&path, weight, None, color)
}

fn stroke(path: &str, weight: f64, dashes: Option<&str>, color: &str) -> String {
    let dashes = dashes.map(|d| format!(" stroke-dasharray=\"{d}\"")).unwrap_or_default();
    format!(
        "<path d=\"{path}\" stroke=\"{color}\" stroke-width=\"{weight}\" stroke-linecap=\"square\" fill=\"none\"{dashes}/>\n"
    )
}

fn block(x: f64, y: f64, opacity: f64, color: &str) -> String {
    format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"{color}\" opacity=\"{opacity}\"/>\n"
    )
}

/// Strokes that go on in the cells around.
fn hatch(x: f64, y: f64, color: &str) -> String {
    let (right, half, bottom) = (x + WIDTH, y + HEIGHT / 2.0, y + HEIGHT);
    let path = format!("M{x} {half}L{right} {y}M{x} {bottom}L{right} {half}");
    block(x, y, 0.22, color) + &stroke(&path, 1.6, None, color)
}

fn braille(bits: u32, x: f64, y: f64, color: &str) -> String {
    const DOTS: [(u32, f64, f64); 8] = [
        (0x01, 0.25, 0.125),
        (0x08, 0.75, 0.125),
        (0x02, 0.25, 0.375),
        (0x10, 0.75, 0.375),
        (0x04, 0.25, 0.625),
        (0x20, 0.75, 0.625),
        (0x40, 0.25, 0.875),
        (0x80, 0.75, 0.875),
    ];
    let mut path = String::new();
    for (_, dx, dy) in DOTS.iter().filter(|(bit, ..)| bits & bit != 0) {
        let _ = write!(path, "M{} {}h0", x + dx * WIDTH, y + dy * HEIGHT);
    }
    format!("<path d=\"{path}\" stroke=\"{color}\" stroke-width=\"2.8\" stroke-linecap=\"round\"/>\n")
}
