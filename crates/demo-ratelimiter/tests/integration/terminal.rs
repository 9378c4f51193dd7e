//! The binary in a pseudo terminal, on a real cluster: played by keys, resized, and left in every
//! way there is.

#[allow(dead_code, reason = "the part that starts another program")]
#[path = "../../../demo-tui/tests/support/pty.rs"]
mod pty;

use crate::support::Scratch;
use portable_pty::CommandBuilder;
use pty::{Ended, Session};
use ratelimiter_cluster::node_binary;

const SPACE: &str = " ";
const CTRL_C: &str = "\x03";

fn start(scratch: &Scratch, arguments: &[&str]) -> Session {
    let mut command = command(&[&["run"], arguments].concat());
    command.env("RATELIMITER_NODE_BIN", node_binary().unwrap());
    command.env("TMPDIR", scratch.path());
    Session::run(command, 120, 36)
}

fn command(arguments: &[&str]) -> CommandBuilder {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_demo-ratelimiter"));
    command.args(arguments);
    command.env_remove("NO_COLOR");
    command
}

/// Plays up to the middle of the pause.
fn in_the_pause(scratch: &Scratch) -> Session {
    let mut session = start(scratch, &["--for", "60s"]);
    session.see("1. Welcome");
    session.press(SPACE);
    session.see("2. Cluster Health");
    session.press(SPACE);
    session.see("▶ store takes no writes");
    session
}

#[test]
fn keys_play_all_chapters_while_resizing() {
    let (scratch, logs) = (Scratch::new(), Scratch::new());
    let log = format!("{}/story.jsonl", logs.path());
    let mut session = start(&scratch, &["--for", "4s", "--record", &log]);
    session.see("1. Welcome");
    session.press(SPACE);
    session.see("2. Cluster Health");
    session.see("store  connected");
    session.press("\r");
    session.see("4. Counter Drift Chaos");
    session.press(SPACE);
    session.see("not yet");
    session.see("▶ store takes no writes");
    session.resize(80, 24);
    session.see("counter_drift");
    session.see("SPACE the detection");
    session.resize(120, 36);
    session.see("╭ Chapters");
    session.press(SPACE);
    session.see("5. Counter Drift Detection");
    session.see("counter drift detect");
    session.press(SPACE);
    session.see("6. Counter Drift Diagnosis");
    session.see("confidence");
    session.press("e");
    session.see("Diagnosis: the evidence");
    session.see("[E1]");
    session.press(SPACE);
    session.see("8. Ghost Allowing Chaos");
    session.see("burst allowed");
    session.see("SPACE the detection");
    session.press(SPACE);
    session.see("9. Ghost Allowing Detection");
    session.see("ghost_allowing");
    session.see("admissions within");
    session.press("\x1b[C");
    session.see("10. Ghost Allowing Diagnosis");
    session.see("confidence");
    session.press(SPACE);
    session.see("11. Demo Complete");
    session.press(SPACE);
    session.see("Completed: everything expected occurred");
    session.see("the end; q or Enter leaves");
    let live = session.screen(panels_of);
    session.press("q");
    let Ended { status, screen, .. } = session.end();
    assert_eq!(status.exit_code(), 0, "{screen}");
    assert!(
        screen.contains("completed: everything expected occurred"),
        "{screen}"
    );
    scratch.is_clean();

    // The log is played again, without a cluster, to the same last screen.
    let mut session = Session::run(command(&["replay", &log, "--from", "8"]), 120, 36);
    session.see("8. Ghost Allowing Chaos");
    session.press(SPACE);
    session.see("paused");
    session.press("\x1b[D");
    session.see("7. Recovery");
    session.press("\x1b[F");
    session.see("Completed: everything expected occurred");
    session.see("the end of the log");
    assert_eq!(session.screen(panels_of), live);
    session.press("q");
    assert_eq!(session.end().status.exit_code(), 0);
}

/// The screen without the lines that differ between a live story and a log: header, status and
/// keys.
fn panels_of(screen: &vt100::Screen) -> Vec<String> {
    let lines: Vec<String> = screen
        .contents()
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines[1..34].to_vec()
}

#[test]
fn leaving_during_the_pause_cleans_up() {
    for (key, code) in [("q", 0), (CTRL_C, 130)] {
        let scratch = Scratch::new();
        let mut session = in_the_pause(&scratch);
        session.press(key);
        let Ended { status, screen, .. } = session.end();
        assert_eq!(status.exit_code(), code, "{screen}");
        scratch.is_clean();
    }
}

#[test]
fn signals_during_the_pause_clean_up() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let scratch = Scratch::new();
        let session = in_the_pause(&scratch);
        session.signal(signal);
        let Ended { status, screen, .. } = session.end();
        assert_eq!(status.exit_code(), code, "{screen}");
        scratch.is_clean();
    }
}

#[test]
fn unwritable_recordings_fail_before_anything_starts() {
    let scratch = Scratch::new();
    let Ended { status, screen, .. } = start(&scratch, &["--record", "/nowhere/story.jsonl"]).end();
    assert_eq!(status.exit_code(), 1, "{screen}");
    assert!(screen.contains("/nowhere/story.jsonl"), "{screen}");
    assert!(!screen.contains("starting"), "{screen}");
}
