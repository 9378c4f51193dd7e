//! Colours as numbers. The first sixteen are those that a terminal lets its user choose; here they
//! are ours.

use ratatui::style::Color;

const DARK: [&str; 16] = [
    "#1c2128", "#e5605e", "#7fb069", "#e0b050", "#5a9bd8", "#b48ead", "#5fb8b8", "#c8ccd4",
    "#6b7280", "#ff7b72", "#98c379", "#f0c674", "#79b8ff", "#d2a8ff", "#76d9d9", "#ffffff",
];
const LIGHT: [&str; 16] = [
    "#24292f", "#b3261e", "#1a7f37", "#8a5a00", "#0550ae", "#8250df", "#0f7b7b", "#6e7781",
    "#57606a", "#cf222e", "#2da44e", "#9a6700", "#0969da", "#a475f9", "#1b9c9c", "#ffffff",
];

/// The background, and the colours on it.
pub(super) struct PictureGround {
    pub(super) fore: &'static str,
    pub(super) back: &'static str,
    named: [&'static str; 16],
}

impl PictureGround {
    pub(super) fn new(light: bool) -> Self {
        if light {
            Self {
                fore: "#1f2328",
                back: "#ffffff",
                named: LIGHT,
            }
        } else {
            Self {
                fore: "#d8dee9",
                back: "#11151c",
                named: DARK,
            }
        }
    }

    /// A colour in hexadecimal; nothing for the ground's own.
    pub(super) fn color(&self, color: Color) -> Option<String> {
        let index = match color {
            Color::Reset => return None,
            Color::Rgb(r, g, b) => return Some(format!("#{r:02x}{g:02x}{b:02x}")),
            Color::Indexed(index) => index,
            Color::Black => 0,
            Color::Red => 1,
            Color::Green => 2,
            Color::Yellow => 3,
            Color::Blue => 4,
            Color::Magenta => 5,
            Color::Cyan => 6,
            Color::Gray => 7,
            Color::DarkGray => 8,
            Color::LightRed => 9,
            Color::LightGreen => 10,
            Color::LightYellow => 11,
            Color::LightBlue => 12,
            Color::LightMagenta => 13,
            Color::LightCyan => 14,
            Color::White => 15,
        };
        Some(self.indexed(index))
    }

    /// The 256 colours of xterm: sixteen by name, a cube of six by six by six, a ramp of greys.
    fn indexed(&self, index: u8) -> String {
        if let Some(named) = self.named.get(usize::from(index)) {
            return (*named).to_owned();
        }
        if index >= 232 {
            let grey = 8 + 10 * (index - 232);
            return format!("#{grey:02x}{grey:02x}{grey:02x}");
        }
        let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
        let cube = index - 16;
        let (r, g, b) = (level(cube / 36), level(cube / 6 % 6), level(cube % 6));
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cube_and_ramp_are_those_of_xterm() {
        let ground = PictureGround::new(false);
        let color = |index| ground.color(Color::Indexed(index)).unwrap();
        assert_eq!(
            [16, 203, 231, 232, 255].map(color),
            ["#000000", "#ff5f5f", "#ffffff", "#080808", "#eeeeee"]
        );
        assert_eq!(ground.color(Color::Reset), None);
    }
}
