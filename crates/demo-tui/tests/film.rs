//! Pictures and recordings of a log, without a terminal.

#[path = "support/script.rs"]
mod script;

use std::num::NonZero;
use std::time::Duration;

use demo_core::{Log, TimedEvent};
use demo_tui::{Film, Offscreen, ScreenOptions, Size};
use ratatui::buffer::{Buffer, Cell};
use serde_json::Value;

const SIZE: Size = Size::new(120, 36);

fn events() -> Vec<TimedEvent> {
    script::stretches()
        .into_iter()
        .flatten()
        .chain(script::ending())
        .collect()
}

fn dwelling(seconds: u64) -> ScreenOptions {
    ScreenOptions {
        dwell: Duration::from_secs(seconds),
        ..ScreenOptions::default()
    }
}

fn text(screen: &Buffer) -> String {
    let rows = screen.content.chunks(usize::from(screen.area.width));
    let rows = rows.map(|row| {
        row.iter()
            .map(Cell::symbol)
            .collect::<String>()
            .trim_end()
            .to_owned()
    });
    rows.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// The screen after all events.
fn last_screen() -> String {
    let mut screen = Offscreen::new(&ScreenOptions::default());
    for stamped in events() {
        screen.apply(stamped);
    }
    text(&screen.draw(SIZE.width, SIZE.height))
}

#[test]
fn a_cast_plays_back_to_the_last_screen() {
    let (log, options) = (Log::new(events()).unwrap(), dwelling(2));
    let cast = Film::new(&log, SIZE, &options).cast();
    let mut lines = cast
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let header = lines.next().unwrap();
    assert_eq!(
        (&header["version"], &header["width"], &header["height"]),
        (&2.into(), &120.into(), &36.into())
    );

    let mut terminal = vt100::Parser::default();
    let (rows, columns) = (
        NonZero::new(SIZE.height).unwrap(),
        NonZero::new(SIZE.width).unwrap(),
    );
    terminal.screen_mut().set_size(rows, columns);
    let (mut last, mut markers) = (0.0, vec![]);
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
    }
    assert_eq!(markers.len(), 11);
    assert_eq!(markers[3], "4. The ledger is locked");
    let contents = terminal.screen().contents();
    let lines: Vec<&str> = contents.lines().map(str::trim_end).collect();
    assert_eq!(lines.join("\n").trim_end(), last_screen());
}

#[test]
fn every_chapter_has_a_picture_of_its_end() {
    let (log, options) = (Log::new(events()).unwrap(), ScreenOptions::default());
    let stills = Film::new(&log, SIZE, &options).stills();
    let chapters: Vec<_> = stills.iter().map(|still| still.chapter).collect();
    assert_eq!(
        chapters,
        (1..=11).map(Some).chain([None]).collect::<Vec<_>>()
    );
    assert!(
        stills
            .iter()
            .all(|still| still.svg.starts_with("<svg ") && still.svg.ends_with("</svg>\n"))
    );
    assert!(
        stills[3]
            .svg
            .contains("The\u{a0}ledger\u{a0}is\u{a0}locked")
    );
}

#[test]
fn moving_pictures_hold_short_chapters() {
    let log = Log::new(events()).unwrap();
    let seconds = |dwell| {
        let picture = Film::new(&log, SIZE, &dwelling(dwell)).svg();
        let (_, rest) = picture.split_once("animation:film ").unwrap();
        rest.split_once("s ").unwrap().0.parse::<f64>().unwrap()
    };
    assert!(
        seconds(20) > seconds(0) + 60.0,
        "{} {}",
        seconds(20),
        seconds(0)
    );
}
