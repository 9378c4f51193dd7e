//! The binary in a pseudo terminal, on a real cluster: played by keys, resized, and left in every way there is.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its subject has failed")]

#[allow(dead_code, reason = "the part that starts another program")]
#[path = "../../demo-tui/tests/support/pty.rs"]
mod pty;
mod support;

use portable_pty::CommandBuilder;
use pty::{Ended, Session};
use ratelimiter_cluster::node_binary;
use support::Scratch;

const SPACE: &str = " ";
const CTRL_C: &str = "\x03";

fn start(scratch: &Scratch, arguments: &[&str]) -> Session {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_demo-ratelimiter"));
    command.arg("run");
    command.args(arguments);
    command.env("RATELIMITER_NODE_BIN", node_binary().unwrap());
    command.env("TMPDIR", scratch.path());
    command.env_remove("NO_COLOR");
    Session::run(command, 120, 36)
}

/// Plays up to the middle of the pause.
fn in_the_pause(scratch: &Scratch) -> Session {
    let mut session = start(scratch, &["--pause", "60s"]);
    session.see("1. Welcome");
    session.press(SPACE);
    session.see("2. Cluster Health");
    session.press(SPACE);
    session.see("▶ store takes no writes");
    session
}

#[test]
fn keys_play_all_chapters_while_resizing() {
    let scratch = Scratch::new();
    let mut session = start(&scratch, &["--pause", "4s"]);
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
    session.see("dependency stopped accepting changes");
    session.press(SPACE);
    session.see("8. Ghost Allowing Chaos");
    session.see("burst allowed");
    session.see("SPACE the detection");
    session.press(SPACE);
    session.see("9. Ghost Allowing Detection");
    session.see("ghost_allowing");
    session.press("\x1b[C");
    session.see("10. Ghost Allowing Diagnosis");
    session.see("load rose faster than state");
    session.press(SPACE);
    session.see("11. Demo Complete");
    session.press(SPACE);
    session.see("Completed: everything expected occurred");
    session.press("q");
    let Ended { status, screen, .. } = session.end();
    assert_eq!(status.exit_code(), 0, "{screen}");
    assert!(screen.contains("completed: everything expected occurred"), "{screen}");
    scratch.is_clean();
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
    let Ended { status, screen, .. } = start(&scratch, &["--record", "/nowhere/demo.cast"]).end();
    assert_eq!(status.exit_code(), 1, "{screen}");
    assert!(screen.contains("/nowhere/demo.cast"), "{screen}");
    assert!(!screen.contains("starting"), "{screen}");
}
