//! A log is read back as it was written.

use std::time::{Duration, UNIX_EPOCH};

use demo_core::{
    ChapterInfo, ChartKind, ChartSpec, Dependency, Event, Finding, FindingState, HealthSnapshot,
    IntervalRow, Intervals, Log, LogError, LogVersion, Mark, MarkEdge, Measurement, Reachability,
    SeriesRole, SeriesSpec, Severity, StatusLine, StoryEnd, SubjectNode, Table, TableRow,
    TimedEvent, Tone,
};
use proptest::prelude::*;

/// One event of every kind.
fn every_event() -> Vec<Event> {
    let chapter = ChapterInfo {
        title: "one".into(),
        narration: "a\n\nb".into(),
        key_hint: "go".into(),
        blocks_advance: true,
        auto_advance: false,
        repeatable: true,
        has_encore: true,
    };
    let series = vec![SeriesSpec {
        name: "nodes".into(),
        role: SeriesRole::Sum,
    }];
    let kind = ChartKind::Stack;
    let chart = ChartSpec {
        id: "c".into(),
        title: "t".into(),
        unit: "l".into(),
        kind,
        series,
    };
    let row = IntervalRow {
        label: "n".into(),
        from: 0.5,
        to: 2.0,
    };
    let table = Table {
        title: "d".into(),
        headings: vec!["e".into()],
        rows: vec![TableRow {
            cells: vec!["f".into()],
            bar: [1, 2],
        }],
    };
    let intervals = Intervals {
        title: "two".into(),
        unit: "ms".into(),
        rows: vec![row],
        allowed: Some(0),
    };
    let node = SubjectNode {
        id: "n".into(),
        address: "here".into(),
        state: Reachability::Suspect,
    };
    let health = HealthSnapshot {
        nodes: vec![node],
        dependencies: vec![Dependency {
            name: "store".into(),
            connected: true,
        }],
        has_issues: true,
        last_updated: Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)),
    };
    let status = StatusLine {
        text: "waiting".into(),
        remaining: Some(Duration::from_millis(1_500)),
    };
    let measurement = Measurement {
        name: "drift".into(),
        value: 80.5,
        unit: "s".into(),
        detail: "store 0".into(),
    };
    let finding = Finding {
        id: "x/y".into(),
        name: "x".into(),
        subject: "y".into(),
        severity: Severity::Critical,
        state: FindingState::Raised,
        first_seen: Duration::from_micros(1_234_567),
        detected_at: Duration::from_secs(2),
        evidence: "\"quoted\"".into(),
    };
    vec![
        Event::Started {
            version: LogVersion,
            subject: "s".into(),
            chapters: vec![chapter],
            charts: vec![chart],
        },
        Event::Entered { chapter: 0 },
        Event::Running { chapter: 0 },
        Event::Status {
            status: Some(status),
        },
        Event::Status { status: None },
        Event::Said {
            tone: Tone::Warning,
            text: "ä\n\u{1b}".into(),
        },
        Event::Measured(measurement),
        Event::Sampled {
            chart: "c".into(),
            values: vec![Some(1.0), None],
        },
        Event::Marked(Mark {
            label: "pause".into(),
            edge: MarkEdge::Moment,
        }),
        Event::Focused {
            charts: vec!["c".into()],
        },
        Event::Intervals(intervals),
        Event::Table(table),
        Event::Encore {
            title: "more".into(),
            narration: "c".into(),
        },
        Event::Health(health),
        Event::Noted {
            about: "n".into(),
            tone: Tone::Good,
            text: "1 ms".into(),
        },
        Event::Found(finding),
        Event::Text {
            panel: "diagnosis".into(),
            piece: "cause\n".into(),
            detail: true,
        },
        Event::Reported {
            name: "r".into(),
            report: serde_json::json!({"a": [1, null]}),
        },
        Event::Expected {
            name: "drift".into(),
            occurred: true,
        },
        Event::Refused {
            reason: "not yet".into(),
        },
        Event::Settled { chapter: 0 },
        Event::Finished {
            outcome: StoryEnd::Missed {
                expectations: vec!["drift".into()],
            },
        },
    ]
}

fn written(events: &[TimedEvent]) -> String {
    events
        .iter()
        .map(|e| serde_json::to_string(e).expect("events are JSON") + "\n")
        .collect()
}

fn stamped() -> Vec<TimedEvent> {
    let at = |i: usize| Duration::from_micros(i as u64 * 123_457);
    every_event()
        .into_iter()
        .enumerate()
        .map(|(i, event)| TimedEvent { at: at(i), event })
        .collect()
}

#[test]
fn every_event_is_read_back() {
    let events = stamped();
    let log = Log::read(written(&events).as_bytes()).unwrap();
    assert_eq!(log.events(), events);
}

#[test]
fn numbers_that_json_lacks_become_nan() {
    let measured = Event::Measured(Measurement {
        name: "n".into(),
        value: f64::INFINITY,
        unit: "".into(),
        detail: String::new(),
    });
    let events = [
        stamped()[0].clone(),
        TimedEvent {
            at: Duration::ZERO,
            event: measured,
        },
    ];
    let log = Log::read(written(&events).as_bytes()).unwrap();
    assert!(matches!(&log.events()[1].event, Event::Measured(m) if m.value.is_nan()));
}

#[test]
fn logs_of_another_version_are_refused() {
    let first = written(&stamped()[..1]);
    assert!(first.contains(r#""version":1"#), "{first}");
    let older = first.replace(r#""version":1,"#, "");
    assert_eq!(
        Log::read(older.as_bytes()).unwrap().events().len(),
        1,
        "the first logs had no version"
    );
    let newer = first.replace(r#""version":1"#, r#""version":2"#);
    let error = Log::read(newer.as_bytes()).unwrap_err().to_string();
    assert!(
        error.contains("version 2, and this program reads version 1"),
        "{error}"
    );
}

#[test]
fn cut_off_last_lines_are_left_out() {
    let whole = written(&stamped());
    let log = Log::read(&whole.as_bytes()[..whole.len() - 20]).unwrap();
    assert_eq!(log.events().len(), stamped().len() - 1);
}

#[test]
fn bad_lines_are_named() {
    let lines = written(&stamped()[..2]) + "nonsense\n" + &written(&stamped()[2..]);
    let error = Log::read(lines.as_bytes()).unwrap_err();
    assert!(matches!(error, LogError::Event { line: 3, .. }), "{error}");
    assert!(matches!(
        Log::read(&b""[..]).unwrap_err(),
        LogError::NoStart
    ));
    assert!(matches!(
        Log::read(written(&stamped()[1..]).as_bytes()).unwrap_err(),
        LogError::NoStart
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn times_keep_their_microseconds(us in 0u64..1 << 45) {
        let (at, event) = (Duration::from_micros(us), Event::Entered { chapter: 0 });
        let stamped = TimedEvent { at, event };
        let text = serde_json::to_string(&stamped).unwrap();
        prop_assert_eq!(serde_json::from_str::<TimedEvent>(&text).unwrap(), stamped);
    }
}
