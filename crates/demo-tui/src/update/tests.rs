use demo_core::{
    ChapterInfo, ChartKind, ChartSpec, Finding, FindingState, IntervalRow, Intervals, LogVersion,
    SeriesRole, SeriesSpec, Severity, StatusLine, Tone,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::ScreenOptions;
use crate::layout::LayoutKind;
use crate::theme::Palette;
use crate::view::view;

fn app() -> ScreenState {
    ScreenState::new(
        Palette::Dark,
        &ScreenOptions {
            mode_label: "test".into(),
            ..ScreenOptions::default()
        },
    )
}

fn chapter(title: &str) -> ChapterInfo {
    ChapterInfo {
        title: title.into(),
        narration: "one two three\n\nfour".into(),
        key_hint: "go on".into(),
        blocks_advance: false,
        auto_advance: false,
        repeatable: true,
        has_encore: false,
    }
}

fn started() -> Event {
    let roles = [
        SeriesRole::Part,
        SeriesRole::Sum,
        SeriesRole::Whole,
        SeriesRole::Bound,
    ];
    let series = roles
        .map(|role| SeriesSpec {
            name: format!("{role:?}"),
            role,
        })
        .to_vec();
    let charts = [("a", ChartKind::Curves), ("b", ChartKind::Stack)].map(|(id, kind)| ChartSpec {
        id: id.into(),
        title: id.into(),
        unit: "l".into(),
        kind,
        series: series.clone(),
    });
    let chapters = vec![chapter("one"), chapter("two"), chapter("three")];
    Event::Started {
        version: LogVersion,
        subject: "a subject".into(),
        chapters,
        charts: charts.to_vec(),
    }
}

fn apply(app: &mut ScreenState, at: u64, event: Event) -> Option<ScreenCommand> {
    app.update(emitted(at, event))
}

fn emitted(at: u64, event: Event) -> ScreenAction {
    let at = Duration::from_secs(at);
    ScreenAction::Emitted(TimedEvent { at, event })
}

fn press(app: &mut ScreenState, press: KeyEffect) -> Option<ScreenCommand> {
    app.update(ScreenAction::Pressed(press))
}

fn sampled() -> Event {
    Event::Sampled {
        chart: "a".into(),
        values: vec![Some(1.0)],
    }
}

fn text(piece: &str) -> Event {
    Event::Text {
        panel: "diagnosis".into(),
        piece: piece.into(),
        detail: false,
    }
}

#[test]
fn first_quit_heals_and_second_interrupt_leaves() {
    let mut app = app();
    apply(&mut app, 0, started());
    assert_eq!(
        press(&mut app, KeyEffect::Interrupt),
        Some(ScreenCommand::Send(StoryInput::Quit))
    );
    assert_eq!(press(&mut app, KeyEffect::Quit), None);
    assert_eq!(
        press(&mut app, KeyEffect::Advance),
        None,
        "the story does not listen any more"
    );
    assert_eq!(
        press(&mut app, KeyEffect::Interrupt),
        Some(ScreenCommand::Abandon)
    );
}

#[test]
fn quitting_leaves_when_the_story_has_ended() {
    let mut app = app();
    assert_eq!(
        app.update(ScreenAction::Shutdown),
        Some(ScreenCommand::Send(StoryInput::Quit))
    );
    let ended = apply(
        &mut app,
        1,
        Event::Finished {
            outcome: StoryEnd::Quit,
        },
    );
    assert_eq!(ended, Some(ScreenCommand::Leave));
}

#[test]
fn summary_ignores_keys_in_its_first_second() {
    let mut app = app();
    apply(
        &mut app,
        5,
        Event::Finished {
            outcome: StoryEnd::Completed,
        },
    );
    assert_eq!(press(&mut app, KeyEffect::Advance), None);
    app.update(ScreenAction::Passed(Duration::from_secs(7)));
    assert_eq!(
        press(&mut app, KeyEffect::Advance),
        Some(ScreenCommand::Leave)
    );
    assert_eq!(press(&mut app, KeyEffect::Quit), Some(ScreenCommand::Leave));
    assert_eq!(
        app.update(ScreenAction::Shutdown),
        Some(ScreenCommand::Leave)
    );
    assert_eq!(
        app.story.now,
        Duration::from_secs(5),
        "the story's time stands still"
    );
}

#[test]
fn text_takes_focus_unless_the_user_chose() {
    let mut app = app();
    apply(&mut app, 0, started());
    apply(&mut app, 0, sampled());
    apply(&mut app, 0, text("a"));
    assert_eq!(app.focus(), Panel::Text);
    apply(&mut app, 1, Event::Entered { chapter: 1 });
    assert_eq!(app.focus(), Panel::Narration);
    press(&mut app, KeyEffect::NextPanel);
    assert_eq!(app.focus(), Panel::Charts);
    apply(&mut app, 1, text("a"));
    assert_eq!(app.focus(), Panel::Charts);
}

#[test]
fn text_is_followed_then_shown_from_its_beginning() {
    let mut app = app();
    apply(&mut app, 0, started());
    apply(&mut app, 0, text(&"line\n".repeat(100)));
    assert_eq!(app.scroll(Panel::Text), ScrollPosition::Tail);
    apply(&mut app, 0, Event::Settled { chapter: 0 });
    assert_eq!(app.scroll(Panel::Text), ScrollPosition::At(0));
    press(&mut app, KeyEffect::PageDown);
    let (_, page) = panel::extent(&app, Panel::Text);
    assert_eq!(app.scroll(Panel::Text), ScrollPosition::At(page));
    apply(&mut app, 0, text("more\n"));
    assert_eq!(
        app.scroll(Panel::Text),
        ScrollPosition::At(page),
        "who scrolls is left where he is"
    );
}

#[test]
fn tab_visits_every_panel_and_comes_back() {
    let mut app = app();
    apply(&mut app, 0, started());
    apply(&mut app, 0, sampled());
    let all = app.panels();
    let visited: Vec<Panel> = all
        .iter()
        .map(|_| {
            press(&mut app, KeyEffect::NextPanel);
            app.focus()
        })
        .collect();
    assert_eq!(visited.last(), all.first());
    press(&mut app, KeyEffect::PreviousPanel);
    assert_eq!(app.focus(), all[all.len() - 1]);
}

#[test]
fn any_key_only_closes_the_help() {
    let mut app = app();
    apply(&mut app, 0, started());
    press(&mut app, KeyEffect::Help);
    assert_eq!(app.overlay, Some(Overlay::Help));
    assert_eq!(press(&mut app, KeyEffect::Advance), None);
    assert_eq!(app.overlay, None);
}

#[test]
fn next_narration_closes_with_the_key_that_advances() {
    let mut app = app();
    apply(&mut app, 0, started());
    press(&mut app, KeyEffect::Ahead);
    assert_eq!(app.overlay, Some(Overlay::Ahead));
    press(&mut app, KeyEffect::Ahead);
    assert_eq!(app.overlay, None);
    press(&mut app, KeyEffect::Ahead);
    assert_eq!(
        press(&mut app, KeyEffect::Advance),
        Some(ScreenCommand::Send(StoryInput::Advance))
    );
    assert_eq!(app.overlay, None);
}

#[test]
fn a_log_is_left_without_asking_a_story() {
    let mut app = app();
    let length = Duration::from_secs(9);
    app.update(ScreenAction::Played(Player {
        speed: 1.0,
        paused: false,
        length,
    }));
    apply(&mut app, 0, started());
    assert_eq!(press(&mut app, KeyEffect::Quit), Some(ScreenCommand::Leave));
    assert_eq!(
        apply(
            &mut app,
            1,
            Event::Finished {
                outcome: StoryEnd::Quit
            }
        ),
        None
    );
    app.update(ScreenAction::Rewound);
    assert_eq!((app.finished, app.story.current), (None, None));
}

#[test]
fn an_act_brings_its_charts_and_its_time() {
    let mut app = app();
    apply(&mut app, 0, started());
    apply(
        &mut app,
        7,
        Event::Focused {
            charts: vec!["b".into()],
        },
    );
    let order: Vec<_> = app
        .story
        .charts
        .iter()
        .map(|chart| chart.spec.id.as_ref())
        .collect();
    assert_eq!(
        (order, app.story.act_began),
        (vec!["b", "a"], Duration::from_secs(7))
    );
}

#[test]
fn the_focused_chart_gives_way_to_the_next() {
    let mut app = app();
    apply(&mut app, 0, started());
    apply(&mut app, 0, sampled());
    press(&mut app, KeyEffect::NextPanel);
    press(&mut app, KeyEffect::Down);
    assert_eq!(app.first_chart, 1);
    press(&mut app, KeyEffect::Down);
    assert_eq!(app.first_chart, 0);
    press(&mut app, KeyEffect::Up);
    assert_eq!(app.first_chart, 1);
}

const PRESSES: [KeyEffect; 21] = [
    KeyEffect::Advance,
    KeyEffect::Rerun,
    KeyEffect::NextPanel,
    KeyEffect::PreviousPanel,
    KeyEffect::Up,
    KeyEffect::Down,
    KeyEffect::PageUp,
    KeyEffect::PageDown,
    KeyEffect::Zoom,
    KeyEffect::Help,
    KeyEffect::Details,
    KeyEffect::Ahead,
    KeyEffect::Pause,
    KeyEffect::Faster,
    KeyEffect::Slower,
    KeyEffect::NextChapter,
    KeyEffect::PreviousChapter,
    KeyEffect::End,
    KeyEffect::Redraw,
    KeyEffect::Quit,
    KeyEffect::Interrupt,
];

fn any_event() -> impl Strategy<Value = Event> {
    let tone = || select(vec![Tone::Plain, Tone::Good, Tone::Warning, Tone::Bad]);
    let finding =
        (select(vec!["x", "y"]), any::<bool>(), ".{0,80}").prop_map(|(id, cleared, evidence)| {
            let state = if cleared {
                FindingState::Cleared
            } else {
                FindingState::Raised
            };
            let (first_seen, detected_at) = (Duration::ZERO, Duration::from_secs(1));
            let (id, name, subject) = (id.to_owned(), id.to_owned(), id.to_owned());
            Event::Found(Finding {
                id,
                name,
                subject,
                severity: Severity::Critical,
                state,
                first_seen,
                detected_at,
                evidence,
            })
        });
    let edge = select(vec![
        demo_core::MarkEdge::Begin,
        demo_core::MarkEdge::End,
        demo_core::MarkEdge::Moment,
    ]);
    prop_oneof![
        Just(started()),
        (0usize..5).prop_map(|chapter| Event::Entered { chapter }),
        (0usize..5).prop_map(|chapter| Event::Running { chapter }),
        (0usize..5).prop_map(|chapter| Event::Settled { chapter }),
        (".{0,30}", proptest::option::of(0u64..90)).prop_map(|(text, s)| Event::Status {
            status: Some(StatusLine {
                text,
                remaining: s.map(Duration::from_secs)
            })
        }),
        (tone(), ".{0,200}").prop_map(|(tone, text)| Event::Said { tone, text }),
        (
            select(vec!["a", "b", "c"]),
            proptest::collection::vec(proptest::option::of(any::<f64>()), 0..6)
        )
            .prop_map(|(chart, values)| Event::Sampled {
                chart: chart.into(),
                values
            }),
        (select(vec!["m", "a longer mark"]), edge).prop_map(|(label, edge)| Event::Marked(
            demo_core::Mark {
                label: label.into(),
                edge
            }
        )),
        (tone(), ".{0,20}").prop_map(|(tone, text)| Event::Noted {
            about: "n".into(),
            tone,
            text
        }),
        finding,
        (select(vec!["p", "q"]), ".{0,200}", any::<bool>()).prop_map(|(panel, piece, detail)| {
            Event::Text {
                panel: panel.into(),
                piece,
                detail,
            }
        }),
        select(vec!["a", "b", "c"]).prop_map(|id| Event::Focused {
            charts: vec![id.into()]
        }),
        proptest::collection::vec((".{0,9}", any::<f64>(), any::<f64>()), 0..40).prop_map(|rows| {
            let rows = rows
                .into_iter()
                .map(|(label, from, to)| IntervalRow { label, from, to })
                .collect();
            Event::Intervals(Intervals {
                title: "t".into(),
                unit: "ms".into(),
                rows,
                allowed: Some(2),
            })
        }),
        (".{0,20}", any::<bool>()).prop_map(|(name, occurred)| Event::Expected { name, occurred }),
        ".{0,90}".prop_map(|reason| Event::Refused { reason }),
    ]
}

fn any_action() -> impl Strategy<Value = ScreenAction> {
    prop_oneof![
        4 => (0u64..200, any_event())
            .prop_map(|(at, event)| emitted(at, event)),
        1 => Just(emitted(0, Event::Finished { outcome: StoryEnd::Completed })),
        4 => select(PRESSES.to_vec()).prop_map(ScreenAction::Pressed),
        1 => (0u64..300).prop_map(|s| ScreenAction::Passed(Duration::from_secs(s))),
        1 => (0u16..150, 0u16..50)
            .prop_map(|(width, height)| ScreenAction::Resized(Size { width, height })),
        1 => Just(ScreenAction::Shutdown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// After any events, keys and sizes, in any order: the screen can be drawn, the story is asked
    /// to end at most once and gets no input afterwards, and the front-end never waits for a story
    /// that has ended.
    #[test]
    fn any_actions_leave_a_sound_state(actions in proptest::collection::vec(any_action(), 1..60)) {
        let mut app = app();
        let mut quits = 0;
        for action in actions {
            let quit = matches!(
                action,
                ScreenAction::Shutdown
                    | ScreenAction::Pressed(KeyEffect::Quit | KeyEffect::Interrupt)
            );
            let over = app.story.outcome.is_some();
            let was_leaving = app.leaving;
            let command = app.update(action);
            if let Some(command) = &command {
                match command {
                    ScreenCommand::Send(StoryInput::Quit) => quits += 1,
                    ScreenCommand::Send(_) => prop_assert!(quits == 0 && !over),
                    ScreenCommand::Abandon => prop_assert!(was_leaving),
                    _ => {}
                }
            }
            prop_assert!(quits <= 1);
            if quit && over {
                prop_assert_eq!(command, Some(ScreenCommand::Leave));
            }
            let layout = panel::layout(&app);
            let screen = view(&app);
            prop_assert_eq!(screen.area.as_size(), app.size);
            if layout.kind != LayoutKind::TooSmall {
                let (most, _) = panel::extent(&app, app.focus());
                prop_assert!(app.offset(app.focus(), most) <= most);
            }
        }
    }
}
