//! Recordings and pictures, without a terminal: the same loop, the same bytes.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use demo_core::{Chapter, DemoRunner, NoHealth, Outcome, Pace, Tone};
use demo_tui::{Charset, ColorChoice, Ending, Moment, Options, Picture, Tui, TuiError};
use ratatui::layout::Size;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, mpsc};

/// A process has one terminal, also an invisible one.
async fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::const_new(());
    ONE.lock().await
}

fn offscreen() -> Options {
    Options {
        color: ColorChoice::Always,
        charset: Charset::Unicode,
        offscreen: Some(Size::new(80, 24)),
        ..Options::default()
    }
}

fn glass() -> Vec<Chapter> {
    vec![
        Chapter::new("The glass", "It stands on the table."),
        Chapter::new("The fall", "Mind the shards.").on_enter(|stage| async move {
            stage.say(Tone::Bad, "crash");
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(())
        }),
    ]
}

async fn play(options: Options, chapters: Vec<Chapter>) -> Result<Ending, TuiError> {
    let tui = Tui::new(options)?;
    let (runner, events) = DemoRunner::new("A glass", chapters, Arc::new(NoHealth));
    let (keys, inputs) = mpsc::channel(4);
    // The front-end is polled first, so nothing happens before it looks.
    let story = runner.pace(Pace::Auto).run(inputs);
    tokio::join!(biased; tui.run(events, keys, pending()), story).0
}

/// A file of this test alone.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_plays_back_to_the_last_screen() {
    let _alone = alone().await;
    let (cast, picture) = (file("glass.cast"), file("glass.svg"));
    let pictures = vec![
        Picture { when: Moment::Settled(2), path: picture.clone() },
        Picture { when: Moment::Settled(1), path: file("never.svg") },
    ];
    let ending =
        play(Options { record: Some(cast.clone()), pictures, ..offscreen() }, glass()).await.unwrap();
    assert_eq!(ending.outcome, Some(Outcome::Completed));
    assert_eq!(ending.warnings.len(), 1, "the first chapter has nothing to settle: {:?}", ending.warnings);
    assert!(ending.warnings[0].ends_with("never.svg was not taken: settled:1 did not come"));

    let text = std::fs::read_to_string(cast).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let header = lines.next().unwrap();
    assert_eq!(
        (&header["version"], &header["width"], &header["height"]),
        (&2.into(), &80.into(), &24.into())
    );

    let mut terminal = vt100::Parser::default();
    let (mut last, mut markers, mut crashed) = (0.0, vec![], false);
    for event in lines {
        let at = event[0].as_f64().unwrap();
        assert!(at >= last, "time goes forward");
        last = at;
        let data = event[2].as_str().unwrap();
        match event[1].as_str() {
            Some("o") => terminal.process(data.as_bytes()),
            Some("m") => markers.push(data.to_owned()),
            other => panic!("{other:?}"),
        }
        crashed |= terminal.screen().contents().contains("✗ crash");
    }
    assert_eq!(markers, ["1. The glass", "2. The fall"]);
    assert!(crashed);

    let svg = std::fs::read_to_string(picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("crash</text>"), "the picture is of the moment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_has_one_terminal() {
    let _alone = alone().await;
    let waiting = || {
        let (keys, _inputs) = mpsc::channel(1);
        let (sender, events) = mpsc::unbounded_channel();
        let run = Tui::new(offscreen()).unwrap().run(events, keys, pending());
        async move {
            let _sender = sender;
            run.await
        }
    };
    let refused = tokio::select! {
        biased;
        first = waiting() => panic!("{first:?}"),
        second = waiting() => second,
    };
    assert!(matches!(refused, Err(TuiError::InUse)), "{refused:?}");
    // Dropping the first has given the terminal back.
    play(offscreen(), glass()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_without_an_end_is_an_error() {
    let _alone = alone().await;
    let (sender, events) = mpsc::unbounded_channel();
    let (keys, _inputs) = mpsc::channel(1);
    drop(sender);
    let lost = Tui::new(offscreen()).unwrap().run(events, keys, pending()).await;
    assert!(matches!(lost, Err(TuiError::StoryLost)), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_in_chapters_are_errors_with_their_message() {
    let _alone = alone().await;
    let chapter = Chapter::new("Ice", "").on_enter(|_| async { panic!("slipped on {}", "ice") });
    let slipped = play(offscreen(), vec![chapter]).await;
    let message = slipped.unwrap_err().to_string();
    assert!(
        message.starts_with("a task panicked: slipped on ice (") && message.contains("offscreen.rs:"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unwritable_files_fail_before_anything_starts() {
    let nowhere = PathBuf::from("/nowhere/file");
    let record = Tui::new(Options { record: Some(nowhere.clone()), ..offscreen() });
    assert!(record.unwrap_err().to_string().starts_with("recording to /nowhere/file: "));
    let pictures = vec![Picture { when: Moment::Finished, path: nowhere }];
    let picture = Tui::new(Options { pictures, ..offscreen() });
    assert!(picture.unwrap_err().to_string().starts_with("writing the picture /nowhere/file: "));
}
