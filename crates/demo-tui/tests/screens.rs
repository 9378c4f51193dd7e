//! Every chapter of a story at every size, as it looks.

#[path = "support/describe.rs"]
mod describe;
#[path = "support/script.rs"]
mod script;

use demo_tui::{Background, Charset, ColorChoice, KeyEffect, Offscreen, ScreenOptions};
use describe::{describe, text};

fn screen() -> Offscreen {
    Offscreen::new(&ScreenOptions {
        mode_label: "scripted".into(),
        ..ScreenOptions::default()
    })
}

/// Calls `look` with the screen as it is at the end of each chapter, from 1.
fn each_chapter(mut look: impl FnMut(usize, &mut Offscreen)) {
    let mut screen = screen();
    for (i, stretch) in script::stretches().into_iter().enumerate() {
        for stamped in stretch {
            screen.apply(stamped);
        }
        look(i + 1, &mut screen);
    }
}

/// The screen at the end of a chapter, from 1.
fn at_chapter(mut screen: Offscreen, chapter: usize) -> Offscreen {
    for stamped in script::stretches().into_iter().take(chapter).flatten() {
        screen.apply(stamped);
    }
    screen
}

fn at_the_end() -> Offscreen {
    let mut screen = at_chapter(screen(), 11);
    for stamped in script::ending() {
        screen.apply(stamped);
    }
    screen
}

#[test]
fn every_chapter_at_120x36() {
    each_chapter(|n, screen| {
        insta::assert_snapshot!(
            format!("120x36_chapter_{n:02}"),
            describe(&screen.draw(120, 36))
        );
    });
}

#[test]
fn every_chapter_at_80x24() {
    each_chapter(|n, screen| {
        insta::assert_snapshot!(
            format!("80x24_chapter_{n:02}"),
            describe(&screen.draw(80, 24))
        );
    });
}

#[test]
fn every_chapter_at_60x20() {
    each_chapter(|n, screen| {
        insta::assert_snapshot!(
            format!("60x20_chapter_{n:02}"),
            describe(&screen.draw(60, 20))
        );
    });
}

#[test]
fn every_chapter_at_30x8_names_the_least_size() {
    each_chapter(|_, screen| insta::assert_snapshot!("30x8", describe(&screen.draw(30, 8))));
}

#[test]
fn panel_by_panel_at_50x16() {
    let mut screen = at_chapter(screen(), 6);
    for n in 1..=7 {
        insta::assert_snapshot!(format!("50x16_panel_{n}"), describe(&screen.draw(50, 16)));
        screen.press(KeyEffect::NextPanel);
    }
}

#[test]
fn the_end() {
    insta::assert_snapshot!("120x36_end", describe(&at_the_end().draw(120, 36)));
    insta::assert_snapshot!("80x24_end", describe(&at_the_end().draw(80, 24)));
}

#[test]
fn evidence_is_one_key_away() {
    let mut screen = at_chapter(screen(), 6);
    assert!(text(&screen.draw(80, 24)).concat().contains("e evidence"));
    screen.press(KeyEffect::Details);
    insta::assert_snapshot!("80x24_evidence", describe(&screen.draw(80, 24)));
}

#[test]
fn next_narration_is_one_key_away() {
    let mut screen = at_chapter(screen(), 7);
    screen.press(KeyEffect::Ahead);
    insta::assert_snapshot!("80x24_ahead", describe(&screen.draw(80, 24)));
}

#[test]
fn large_spacing_has_few_panels() {
    let options = ScreenOptions {
        large: true,
        ..ScreenOptions::default()
    };
    insta::assert_snapshot!(
        "120x36_large",
        describe(&at_chapter(Offscreen::new(&options), 8).draw(120, 36))
    );
}

#[test]
fn the_help() {
    let mut screen = at_chapter(screen(), 4);
    screen.press(KeyEffect::Help);
    insta::assert_snapshot!("80x24_help", describe(&screen.draw(80, 24)));
}

#[test]
fn in_ascii_and_without_colours() {
    let options = ScreenOptions {
        color: ColorChoice::Never,
        charset: Charset::Ascii,
        ..ScreenOptions::default()
    };
    let mut screen = at_chapter(Offscreen::new(&options), 4);
    let screen = screen.draw(80, 24);
    assert!(text(&screen).concat().is_ascii());
    insta::assert_snapshot!("80x24_ascii_monochrome", describe(&screen));
    let mut screen = at_chapter(Offscreen::new(&options), 9);
    insta::assert_snapshot!(
        "80x24_ascii_monochrome_proof",
        describe(&screen.draw(80, 24))
    );
    let mut screen = at_chapter(Offscreen::new(&options), 8);
    insta::assert_snapshot!(
        "80x24_ascii_monochrome_stack",
        describe(&screen.draw(80, 24))
    );
}

#[test]
fn on_a_light_background() {
    let options = ScreenOptions {
        background: Background::Light,
        ..ScreenOptions::default()
    };
    insta::assert_snapshot!(
        "80x24_light",
        describe(&at_chapter(Offscreen::new(&options), 4).draw(80, 24))
    );
}

/// The essential parts are on the smallest designed screen, in every chapter.
#[test]
fn at_80x24_nothing_essential_is_cut() {
    each_chapter(|n, screen| {
        let screen = text(&screen.draw(80, 24)).join("\n");
        let first_words = [
            "A small post office has three counters",
            "Three counters, one ledger",
            "Four seconds of an ordinary morning.",
            "Somebody turns the key",
            "The auditor compares",
            "From evidence alone",
            "The key is turned back.",
            "Forty letters come",
            "taken: 44 letters",
            "From evidence alone.",
            "Two ways to break one promise",
        ];
        let (place, title) = (format!("chapter {n} of 11"), format!("{n}. "));
        let essential = [
            place.as_str(),
            title.as_str(),
            first_words[n - 1],
            match n {
                1 => "one ledger.",
                2..=7 => "Letters in the last minute [letters, ",
                9 => "11 letters within 4.7 s, where 10 may be taken",
                11 => "each letter      30               2.5  ",
                _ => "Letters of the rush [letters, ",
            },
            if n == 1 {
                "quota"
            } else if n < 8 {
                "unbooked"
            } else if n < 11 {
                "too many"
            } else {
                "Closing time."
            },
            "Violations",
            "SPACE ",
            "? help",
            "q quit",
        ];
        for words in essential {
            assert!(
                screen.contains(words),
                "chapter {n} lacks \"{words}\":\n{screen}"
            );
        }
    });
}

#[test]
fn a_blocked_advance_shows_reason_and_count() {
    let mut screen = at_chapter(screen(), 4);
    let again = script::stretches()[3].last().cloned().expect("the refusal");
    screen.apply(again);
    let status = text(&screen.draw(80, 24))[22].clone();
    assert_eq!(status, " 3 s  ! not yet: the chapter is not done (x2)");
}

#[test]
fn quitting_shows_that_healing_comes_first() {
    let mut screen = at_chapter(screen(), 4);
    assert_eq!(
        screen.press(KeyEffect::Quit),
        Some(demo_core::StoryInput::Quit)
    );
    let screen = text(&screen.draw(80, 24));
    assert_eq!(
        screen[22..],
        [
            " ■ healing, then leaving; Ctrl-C leaves at once",
            " q leaving"
        ]
    );
}

#[test]
fn text_of_events_never_controls_the_terminal() {
    let mut screen = at_chapter(screen(), 6);
    for stamped in script::stretches().into_iter().flatten() {
        let mut stamped = stamped;
        if let demo_core::Event::Said { text, .. } = &mut stamped.event {
            *text = "\x1b[2J\x1b]0;owned\x07\u{9b}31m".into();
        }
        screen.apply(stamped);
    }
    for (width, height) in [(120, 36), (80, 24), (60, 20), (50, 16), (30, 8)] {
        let screen = screen.draw(width, height);
        assert!(!text(&screen).concat().contains(|c: char| c.is_control()));
    }
}
