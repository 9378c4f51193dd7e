//! The real thing: a story on a pseudo terminal, played by keys, resized, and left in every way
//! there is.

#[path = "support/pty.rs"]
#[expect(dead_code, reason = "other tests look at the screen")]
mod pty;

use std::process::Command;

use pty::{Ended, Session};

const SPACE: &str = " ";
const CTRL_C: &str = "\x03";

/// Plays up to the middle of the fault.
fn in_the_fault(arguments: &[&str]) -> Session {
    let mut session = Session::start(100, 30, &[arguments, &["--countdown", "1"]].concat());
    session.see("1. Welcome");
    session.press(SPACE);
    session.see("2. The tanks");
    session.press("\r");
    session.see("4. The valve shuts");
    session.see("▶ the valve is shut");
    session
}

#[test]
fn keys_play_the_story_to_its_end() {
    let mut session = Session::start(80, 24, &["--fault", "3", "--countdown", "1"]);
    session.see("1. Welcome");
    session.press(SPACE);
    session.see("2. The tanks");
    session.press("\x1b[C");
    session.see("the valve shuts in");
    session.press(SPACE);
    session.see("not yet: the chapter is not done");
    session.see("✗ WARNING");
    session.see("the valve is open again");
    session.press("r");
    session.see("▶ the valve is shut");
    session.see("SPACE see what was found");
    session.press(SPACE);
    session.see("5. Detection");
    session.see("occurred: the books and the tanks part");
    session.press(SPACE);
    session.see("What happened:");
    session.press(SPACE);
    session.see("8. The surge");
    session.see("CRITICAL");
    session.see("SPACE look at the floor");
    session.press("\r");
    session.see("the books were corrected");
    session.press(SPACE);
    session.see("10. The end");
    session.press(SPACE);
    session.see("Summary after");
    session.see("Completed: everything expected occurred");
    session.press("q");
    let Ended { status, screen, .. } = session.end();
    assert!(status.success(), "{screen}");
    assert!(
        screen.contains("completed: everything expected occurred"),
        "{screen}"
    );
    assert!(screen.contains("the valve is open"), "{screen}");
}

#[test]
fn resizing_redraws_and_recovers_from_too_small() {
    let mut session = Session::start(120, 36, &[]);
    session.see("╭ Chapters");
    session.resize(80, 24);
    session.until("the layout for 80x24", |screen| {
        !screen.contents().contains("Chapters")
    });
    session.see("q quit");
    session.resize(50, 16);
    session.see("▸story");
    session.resize(30, 8);
    session.see("needs at");
    session.resize(120, 36);
    session.see("╭ Chapters");
    session.see("q quit");
    session.press("q");
    assert!(session.end().status.success());
}

#[test]
fn help_zoom_and_focus_work_during_a_fault() {
    let mut session = in_the_fault(&[]);
    session.press("?");
    session.see("Keys (any key closes)");
    session.press("?");
    session.press("n");
    session.see("Next: 5. Detection");
    session.press("n");
    session.press("\t");
    session.see("▸ Water in the tanks");
    session.press("z");
    session.see("all panels");
    session.press("\x1b[B");
    session.see("▸ Flow");
    session.press("q");
    assert!(session.end().status.success());
}

#[test]
fn q_during_the_fault_heals_first() {
    let mut session = in_the_fault(&["--fault", "60"]);
    session.press("q");
    healed(session);
}

#[test]
fn ctrl_c_during_the_fault_heals_first() {
    let mut session = in_the_fault(&["--fault", "60"]);
    session.press(CTRL_C);
    healed(session);
}

#[test]
fn signals_during_the_fault_heal_first() {
    for signal in ["TERM", "HUP", "INT"] {
        let session = in_the_fault(&["--fault", "60"]);
        session.signal(signal);
        healed(session);
    }
}

fn healed(session: Session) {
    let Ended { status, screen, .. } = session.end();
    assert!(status.success(), "{screen}");
    assert!(screen.contains("left before the end"), "{screen}");
    assert!(screen.contains("the valve is open"), "{screen}");
}

#[test]
fn a_worker_panic_restores_the_terminal_and_heals() {
    let session = in_the_fault(&["--fault", "60", "--panic"]);
    let Ended { status, screen, .. } = session.end();
    assert_eq!(status.exit_code(), 1, "{screen}");
    assert!(screen.contains("the gauge fell into the tank"), "{screen}");
    assert!(screen.contains("error: a task panicked"), "{screen}");
    assert!(screen.contains("the valve is open"), "{screen}");
}

#[test]
fn a_story_without_an_end_is_an_error() {
    let Ended { status, screen, .. } = Session::start(80, 24, &["--lose"]).end();
    assert_eq!(status.exit_code(), 1);
    assert!(
        screen.contains("error: the story stopped without an end"),
        "{screen}"
    );
}

#[test]
fn without_a_terminal_the_story_prints_lines() {
    let arguments = ["--fault", "3", "--countdown", "0"];
    let output = Command::new(pty::story())
        .args(arguments)
        .output()
        .expect("the story runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        errors.lines().next(),
        Some("standard output is not a terminal: telling the story in lines, without keys")
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("Chapter 10 of 10: The end"));
    assert!(output.status.success());
}
