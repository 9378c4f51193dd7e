//! A story for the terminal about three water tanks on one pipe. Every number in it is computed as
//! it runs.
//!
//! `cargo run -p demo-tui --example story`, with `-- --help` for its options.
//!
//! Exit codes: 0 when the story was played or left, 1 when it failed, 2 when an expected anomaly
//! did not occur, 64 for an unknown flag.

mod chapters;
#[path = "../../tests/support/charts.rs"]
mod charts;
mod watch;
mod water;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use demo_core::{DemoRunner, Event, StoryEnd, StoryPace, TimedEvent, Transcript};
use demo_tui::{Charset, ColorChoice, ScreenOptions, Tui, TuiError, termination};
use tokio::sync::mpsc::UnboundedReceiver;

use chapters::{Plan, chapters};
use watch::{Inspector, charts, run_water, watch};
use water::Works;

const HELP: &str = "\
--auto                turn the pages without keys
--fault SECONDS       how long the valve is shut (5)
--countdown SECONDS   how long before (3)
--panic               let the gauge fall into the tank
--color WHEN          auto, always or never
--ascii               draw with ASCII only
--large               few panels and much space
--lose                stop the story without an end";

struct Arguments {
    plan: Plan,
    pace: StoryPace,
    panics: bool,
    loses: bool,
    options: ScreenOptions,
}

#[tokio::main]
async fn main() -> ExitCode {
    match arguments(std::env::args().skip(1)) {
        Ok(Some(arguments)) => play(arguments).await,
        Ok(None) => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(64)
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let plan = Plan {
        fault: Duration::from_secs(5),
        countdown: 3,
    };
    let options = ScreenOptions {
        mode_label: "simulated".into(),
        ..ScreenOptions::default()
    };
    let mut chosen = Arguments {
        plan,
        pace: StoryPace::Manual,
        panics: false,
        loses: false,
        options,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        let number = |text: String| {
            text.parse::<u32>()
                .map_err(|e| format!("{word} {text}: {e}"))
        };
        match word.as_str() {
            "--help" => return Ok(None),
            "--auto" => chosen.pace = StoryPace::Auto,
            "--panic" => chosen.panics = true,
            "--ascii" => chosen.options.charset = Charset::Ascii,
            "--fault" => chosen.plan.fault = Duration::from_secs(number(value()?)?.into()),
            "--countdown" => chosen.plan.countdown = number(value()?)?,
            "--lose" => chosen.loses = true,
            "--large" => chosen.options.large = true,
            "--color" => {
                chosen.options.color = match value()?.as_str() {
                    "auto" => ColorChoice::Auto,
                    "always" => ColorChoice::Always,
                    "never" => ColorChoice::Never,
                    other => return Err(format!("--color {other}: say auto, always or never")),
                };
            }
            other => return Err(format!("{other} is not known; see --help")),
        }
    }
    Ok(Some(chosen))
}

async fn play(
    Arguments {
        plan,
        pace,
        panics,
        loses,
        options,
    }: Arguments,
) -> ExitCode {
    // All that can fail fails here, before anything has begun.
    let tui = match Tui::new(&options) {
        Ok(tui) => Some(tui),
        Err(TuiError::NotATerminal(which)) => {
            eprintln!(
                "standard {which} is not a terminal: telling the story in lines, without keys"
            );
            None
        }
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let shutdown = match termination() {
        Ok(shutdown) => shutdown,
        Err(error) => {
            eprintln!("error: catching signals: {error}");
            return ExitCode::FAILURE;
        }
    };

    let works = Works::new();
    let inspector = Arc::new(Inspector {
        works: works.clone(),
        stopped: AtomicBool::new(false),
    });
    let (runner, events) =
        DemoRunner::new("Three tanks on one pipe", chapters(&works, plan), inspector);
    let pace = if tui.is_some() { pace } else { StoryPace::Auto };
    let runner = runner.charts(charts()).pace(pace);
    tokio::spawn(run_water(works.clone()));
    let watching = tokio::spawn(watch(works.clone(), runner.stage(), panics));
    let (keys, story) = runner.start();
    if loses {
        story.abort();
        watching.abort();
    }

    let ended = match tui {
        Some(tui) => tui
            .run(events, keys, shutdown)
            .await
            .map(|ending| ending.outcome),
        None => Ok(tell_in_lines(events).await),
    };
    let code = match ended {
        Ok(outcome) => report(outcome.as_ref()),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    };
    story.abort();
    let _ = story.await;
    println!(
        "the valve is {}",
        if works.water().valve_shut {
            "SHUT"
        } else {
            "open"
        }
    );
    code
}

fn report(outcome: Option<&StoryEnd>) -> ExitCode {
    let Some(outcome) = outcome else {
        eprintln!("left at once");
        return ExitCode::FAILURE;
    };
    println!("{outcome}");
    match outcome {
        StoryEnd::Completed | StoryEnd::Quit => ExitCode::SUCCESS,
        StoryEnd::Missed { .. } => ExitCode::from(2),
        StoryEnd::Failed { .. } => ExitCode::FAILURE,
    }
}

async fn tell_in_lines(mut events: UnboundedReceiver<TimedEvent>) -> Option<StoryEnd> {
    let mut transcript = Transcript::new();
    while let Some(stamped) = events.recv().await {
        for line in transcript.lines(&stamped) {
            println!("{line}");
        }
        if let Event::Finished { outcome } = stamped.event {
            return Some(outcome);
        }
    }
    None
}
