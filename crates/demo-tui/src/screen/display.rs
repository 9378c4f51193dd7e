//! Shows buffers on the terminal: only the changed cells, each frame in one piece, and into the recording as well.

use std::io::{self, Write};
use std::time::SystemTime;

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::queue;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use ratatui::layout::{Rect, Size};

use super::cast::Cast;
use super::claim;

/// The screen as it is shown.
pub(crate) struct Display {
    output: Output,
    shown: Buffer,
    /// The next frame begins with an empty screen.
    clear: bool,
}

impl Display {
    /// Takes the alternate screen of a claimed terminal, or of none that anybody sees.
    pub(crate) fn open(size: Size, visible: bool, cast: Option<Cast>) -> io::Result<Self> {
        // The theme decides the colours. Left to itself, crossterm answers NO_COLOR with resets that
        // wipe bold and reverse as well.
        force_color_output(true);
        let mut output = Output { frame: Vec::new(), visible, cast, trouble: None };
        let term = std::env::var("TERM").unwrap_or_default();
        output.record(|cast| cast.begin(size, SystemTime::now(), &term));
        claim::enter(&mut output)?;
        queue!(output, Clear(ClearType::All))?;
        output.flush()?;
        Ok(Self { output, shown: Buffer::empty(area(size)), clear: false })
    }

    /// Forgets the last frame, so that the next one is drawn whole.
    pub(crate) fn forget(&mut self, size: Size) {
        if self.shown.area != area(size) {
            self.output.record(|cast| cast.resize(size));
        }
        self.shown = Buffer::empty(area(size));
        self.clear = true;
    }

    /// Shows a frame.
    pub(crate) fn show(&mut self, next: Buffer) -> io::Result<()> {
        if next.area != self.shown.area {
            self.forget(next.area.as_size());
        }
        let changes = self.shown.diff(&next);
        if self.clear || !changes.is_empty() {
            queue!(self.output, BeginSynchronizedUpdate)?;
            if std::mem::take(&mut self.clear) {
                queue!(self.output, Clear(ClearType::All))?;
            }
            CrosstermBackend::new(&mut self.output).draw(changes.into_iter())?;
            queue!(self.output, EndSynchronizedUpdate)?;
            self.output.flush()?;
            self.shown = next;
        }
        Ok(())
    }

    /// The last frame.
    pub(crate) fn shown(&self) -> &Buffer {
        &self.shown
    }

    /// Marks this moment in the recording.
    pub(crate) fn mark(&mut self, label: &str) {
        self.output.record(|cast| cast.marker(label));
    }

    /// Why the recording stopped before the end, if it did.
    pub(crate) fn trouble(&self) -> Option<&io::Error> {
        self.output.trouble.as_ref()
    }
}

fn area(size: Size) -> Rect {
    Rect::new(0, 0, size.width, size.height)
}

/// Collects a frame and writes it at once, to the terminal while it is ours and to the recording.
struct Output {
    frame: Vec<u8>,
    visible: bool,
    cast: Option<Cast>,
    trouble: Option<io::Error>,
}

impl Output {
    /// A recording that fails stops; the demo goes on.
    fn record(&mut self, write: impl FnOnce(&mut Cast) -> io::Result<()>) {
        if let Some(Err(trouble)) = self.cast.as_mut().map(write) {
            self.cast = None;
            self.trouble = Some(trouble);
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let frame = std::mem::take(&mut self.frame);
        if frame.is_empty() {
            return Ok(());
        }
        if self.visible {
            let mut out = io::stdout().lock();
            // After a panic the main screen is back, and this frame must not go there.
            if !claim::is_held() {
                return Ok(());
            }
            out.write_all(&frame)?;
            out.flush()?;
        }
        // Frames are text, so this is never lossy.
        self.record(|cast| cast.output(&String::from_utf8_lossy(&frame)));
        Ok(())
    }
}
