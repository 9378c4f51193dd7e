//! A screen as text: its characters, then its styles, one letter per style.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Style;

/// The characters of each line.
pub(crate) fn text(screen: &Buffer) -> Vec<String> {
    let rows = screen.content.chunks(usize::from(screen.area.width).max(1));
    rows.map(|row| {
        row.iter()
            .map(Cell::symbol)
            .collect::<String>()
            .trim_end()
            .to_owned()
    })
    .collect()
}

/// The characters, the styles, and the legend of the styles.
pub(crate) fn describe(screen: &Buffer) -> String {
    let mut styles: Vec<Style> = vec![
        Buffer::empty(screen.area)
            .content
            .first()
            .map(Cell::style)
            .unwrap_or_default(),
    ];
    let mut looks = String::new();
    for row in screen.content.chunks(usize::from(screen.area.width).max(1)) {
        let mut line = String::new();
        for cell in row {
            let style = cell.style();
            let at = styles.iter().position(|s| *s == style).unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            line.push(letter(at));
        }
        looks.push_str(line.trim_end_matches('.'));
        looks.push('\n');
    }
    let legend = styles
        .iter()
        .enumerate()
        .skip(1)
        .map(|(i, s)| format!("{}  {}\n", letter(i), name(s)));
    format!(
        "{}\n\n{looks}\n{}",
        text(screen).join("\n"),
        legend.collect::<String>()
    )
}

fn letter(style: usize) -> char {
    match style {
        0 => '.',
        1..=26 => char::from(b'a' + u8::try_from(style - 1).unwrap_or(0)),
        _ => char::from(b'A' + u8::try_from(style - 27).unwrap_or(0)),
    }
}

fn name(style: &Style) -> String {
    let color = |what, color: Option<ratatui::style::Color>| match color {
        None | Some(ratatui::style::Color::Reset) => String::new(),
        Some(color) => format!("{what} {color} "),
    };
    format!(
        "{}{}{:?}",
        color("fg", style.fg),
        color("bg", style.bg),
        style.add_modifier
    )
}
