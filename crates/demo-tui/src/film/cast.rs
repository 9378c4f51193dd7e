//! asciicast v2: a header, then one line of JSON an event.

use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::Hide;
use ratatui::crossterm::queue;
use ratatui::crossterm::style::force_color_output;
use ratatui::layout::{Rect, Size};
use serde_json::json;

use super::frames::FilmFrame;
use crate::screen::display::paint;

/// The frames as the bytes that a terminal would get.
pub(super) fn cast(frames: &[FilmFrame], size: Size) -> String {
    // The theme decides the colours.
    force_color_output(true);
    let header = json!({
        "version": 2, "width": size.width, "height": size.height, "env": {"TERM": "xterm-256color"},
    });
    let mut lines = format!("{header}\n");
    let mut shown = Buffer::empty(Rect::new(0, 0, size.width, size.height));
    for (nth, frame) in frames.iter().enumerate() {
        let at = frame.at.as_secs_f64();
        let mut event =
            |kind, data: &str| lines.push_str(&format!("{}\n", json!([at, kind, data])));
        if let Some(entered) = &frame.entered {
            event("m", entered);
        }
        let mut bytes = Vec::new();
        let hidden = if nth == 0 {
            queue!(bytes, Hide)
        } else {
            Ok(())
        };
        let painted = hidden.and_then(|()| paint(&mut bytes, &shown, &frame.screen, nth == 0));
        painted.expect("memory takes every write");
        // Frames are text, so this is never lossy.
        event("o", &String::from_utf8_lossy(&bytes));
        shown.clone_from(&frame.screen);
    }
    lines
}
