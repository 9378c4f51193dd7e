//! Shows buffers on the terminal: only the changed cells, each frame in one piece.

use std::io::{self, Write};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::queue;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate,
};
use ratatui::layout::{Rect, Size};

use super::guard;

/// The screen as it is shown.
pub(crate) struct ScreenDisplay {
    output: FrameWriter,
    shown: Buffer,
    /// The next frame begins with an empty screen.
    clear: bool,
}

impl ScreenDisplay {
    /// Takes the alternate screen of a claimed terminal.
    pub(crate) fn open(size: Size) -> io::Result<Self> {
        // The theme decides the colours. Left to itself, crossterm answers NO_COLOR with resets
        // that wipe bold and reverse as well.
        force_color_output(true);
        let mut output = FrameWriter(Vec::new());
        guard::enter(&mut output)?;
        queue!(output, Clear(ClearType::All))?;
        output.flush()?;
        Ok(Self {
            output,
            shown: Buffer::empty(area(size)),
            clear: false,
        })
    }

    /// Forgets the last frame, so that the next one is drawn whole.
    pub(crate) fn forget(&mut self, size: Size) {
        self.shown = Buffer::empty(area(size));
        self.clear = true;
    }

    /// Shows a frame.
    pub(crate) fn show(&mut self, next: Buffer) -> io::Result<()> {
        if next.area != self.shown.area {
            self.forget(next.area.as_size());
        }
        if paint(
            &mut self.output,
            &self.shown,
            &next,
            std::mem::take(&mut self.clear),
        )? {
            self.output.flush()?;
            self.shown = next;
        }
        Ok(())
    }
}

/// Writes the cells of `next` that differ from `shown`, or all of them after a `clear`. False when
/// there are none.
pub(crate) fn paint(
    out: &mut impl Write,
    shown: &Buffer,
    next: &Buffer,
    clear: bool,
) -> io::Result<bool> {
    let changes = shown.diff(next);
    if !clear && changes.is_empty() {
        return Ok(false);
    }
    queue!(out, BeginSynchronizedUpdate)?;
    if clear {
        queue!(out, Clear(ClearType::All))?;
    }
    CrosstermBackend::new(&mut *out).draw(changes.into_iter())?;
    queue!(out, EndSynchronizedUpdate)?;
    Ok(true)
}

fn area(size: Size) -> Rect {
    Rect::new(0, 0, size.width, size.height)
}

/// Collects a frame and writes it at once, while the terminal is ours.
struct FrameWriter(Vec<u8>);

impl Write for FrameWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let frame = std::mem::take(&mut self.0);
        let mut out = io::stdout().lock();
        // After a panic the main screen is back, and this frame must not go there.
        if frame.is_empty() || !guard::is_held() {
            return Ok(());
        }
        out.write_all(&frame)?;
        out.flush()
    }
}
