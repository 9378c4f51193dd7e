//! A program in a pseudo terminal of its own, and a terminal emulator that reads along.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// Longer than anything here takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where cargo puts the example that it builds with the tests.
pub(crate) fn story() -> PathBuf {
    let here = std::env::current_exe().expect("the path of this program");
    let target = here
        .ancestors()
        .find(|dir| dir.join("examples/story").is_file());
    let target = target.expect("the example: `cargo build -p demo-tui --example story` builds it");
    target.join("examples/story")
}

/// A program in a pseudo terminal.
pub(crate) struct Session {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    screen: Arc<Screen>,
    termios: String,
}

#[derive(Default)]
struct Screen {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// All that was written to the terminal.
#[derive(Default)]
struct Seen {
    parser: vt100::Parser,
    /// The writer is gone.
    closed: bool,
}

impl Screen {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Starts the story on a terminal of this size.
    pub(crate) fn start(columns: u16, rows: u16, arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(story());
        command.env_clear();
        command.args(arguments);
        Self::run(command, columns, rows)
    }

    /// Starts a program on a terminal of this size with UTF-8 and colours.
    pub(crate) fn run(mut command: CommandBuilder, columns: u16, rows: u16) -> Self {
        let pair = native_pty_system()
            .openpty(size(columns, rows))
            .expect("a pseudo terminal");
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        let termios = termios(&*pair.master);
        let child = pair
            .slave
            .spawn_command(command)
            .expect("the program starts");
        drop(pair.slave);
        let screen = Arc::new(Screen::default());
        resize(&screen, columns, rows);
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        std::thread::spawn({
            let screen = Arc::clone(&screen);
            move || {
                let mut bytes = [0; 16 * 1024];
                while let Ok(count @ 1..) = reader.read(&mut bytes) {
                    let mut seen = screen.seen();
                    seen.parser.process(&bytes[..count]);
                    screen.changed.notify_all();
                }
                screen.seen().closed = true;
                screen.changed.notify_all();
            }
        });
        let writer = pair.master.take_writer().expect("a writer");
        Self {
            child,
            master: pair.master,
            writer,
            screen,
            termios,
        }
    }

    /// Types something.
    pub(crate) fn press(&mut self, keys: &str) {
        self.writer
            .write_all(keys.as_bytes())
            .expect("the terminal takes keys");
        self.writer.flush().expect("the terminal takes keys");
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        resize(&self.screen, columns, rows);
        self.master
            .resize(size(columns, rows))
            .expect("the terminal takes a size");
    }

    /// Waits until the screen is as wanted, and returns the time that this took.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) -> Duration {
        self.wait(what, |seen| wanted(seen.parser.screen()))
    }

    fn wait(&self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Duration {
        let began = Instant::now();
        let mut seen = self.screen.seen();
        while !wanted(&seen) {
            let left = PATIENCE
                .checked_sub(began.elapsed())
                .filter(|_| !seen.closed);
            let left =
                left.unwrap_or_else(|| panic!("no {what}:\n{}", seen.parser.screen().contents()));
            seen = self
                .screen
                .changed
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        began.elapsed()
    }

    /// Waits until this text is on the screen.
    pub(crate) fn see(&self, text: &str) -> Duration {
        self.until(&format!("\"{text}\""), |screen| {
            screen.contents().contains(text)
        })
    }

    /// Looks at the screen as it is.
    pub(crate) fn screen<T>(&self, look: impl Fn(&vt100::Screen) -> T) -> T {
        look(self.screen.seen().parser.screen())
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &self.id()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// The process.
    pub(crate) fn id(&self) -> String {
        self.child.process_id().expect("a process").to_string()
    }

    /// Waits for the end, checks that the terminal is as before, and returns the text of the main
    /// screen.
    pub(crate) fn end(mut self) -> Ended {
        self.wait("end", |seen| seen.closed);
        let status = self.child.wait().expect("the child is ours");
        let seen = self.screen.seen();
        let screen = seen.parser.screen();
        assert!(!screen.alternate_screen(), "the main screen is back");
        assert!(!screen.hide_cursor(), "the cursor is visible");
        assert_eq!(
            termios(&*self.master),
            self.termios,
            "echo and lines are as they were"
        );
        Ended {
            status,
            screen: screen.contents(),
        }
    }
}

/// How a session ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) screen: String,
}

fn resize(screen: &Screen, columns: u16, rows: u16) {
    let (Some(columns), Some(rows)) = (NonZero::new(columns), NonZero::new(rows)) else {
        return;
    };
    screen.seen().parser.screen_mut().set_size(rows, columns);
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

/// All settings of the terminal's line discipline, echo among them.
fn termios(master: &dyn MasterPty) -> String {
    format!(
        "{:?}",
        master.get_termios().expect("a terminal has settings")
    )
}
