//! A story that was never played: a post office with three counters and one ledger, as events with
//! fixed times.

#[path = "charts.rs"]
mod charts;

use std::time::Duration;

use charts::chart;
use demo_core::{
    ChapterInfo, ChartKind, ChartSpec, Dependency, Event, Finding, FindingState, HealthSnapshot,
    IntervalRow, Intervals, LogVersion, Mark, MarkEdge, Measurement, Reachability, SeriesRole,
    Severity, StatusLine, StoryEnd, SubjectNode, Table, TableRow, TimedEvent, Tone,
};

/// Events, one stretch a chapter, each up to a moment worth a picture.
pub(crate) fn stretches() -> Vec<Vec<TimedEvent>> {
    let mut script = Script {
        sum: 12.0,
        ledger: 12.0,
        rate: 4.0,
        ..Script::default()
    };
    let mut all = vec![script.begin()];
    script.counted = true;
    for chapter in 1..11 {
        all.push(script.chapter(chapter));
    }
    all
}

/// The end of the story.
pub(crate) fn ending() -> Vec<TimedEvent> {
    let outcome = StoryEnd::Missed {
        expectations: vec!["the queue reaches the street".into()],
    };
    vec![TimedEvent {
        at: Duration::from_secs(42),
        event: Event::Finished { outcome },
    }]
}

#[derive(Default)]
struct Script {
    now: Duration,
    counted: bool,
    locked: bool,
    /// Letters of the last minute, by the counters and by the ledger.
    sum: f64,
    ledger: f64,
    rate: f64,
    firsts: Vec<(String, Duration)>,
    events: Vec<TimedEvent>,
}

impl Script {
    fn begin(&mut self) -> Vec<TimedEvent> {
        let subject = "A post office with three counters".into();
        self.emit(Event::Started {
            version: LogVersion,
            subject,
            chapters: chapters(),
            charts: charts(),
        });
        self.emit(Event::Entered { chapter: 0 });
        self.health(Reachability::Up, true);
        self.wait(2);
        self.take()
    }

    fn chapter(&mut self, chapter: usize) -> Vec<TimedEvent> {
        self.emit(Event::Entered { chapter });
        let runs = !matches!(chapter, 1 | 10);
        if runs {
            self.emit(Event::Running { chapter });
        }
        match chapter {
            1 => self.wait(3),
            2 => {
                self.emit(Event::Focused {
                    charts: vec!["letters".into(), "rate".into()],
                });
                self.status("measuring", 4);
                self.wait(4);
                self.measured("letters before", 12.0, "", "");
                self.measured(
                    "unbooked before",
                    0.25,
                    "letters",
                    "counters 12.25, ledger 12",
                );
            }
            3 => self.ledger_locked(),
            4 => {
                self.expected("letters go unbooked", true);
                self.measured("found after", 0.612, "s", "0.6 s of it grace");
                self.wait(3);
            }
            5 => self.diagnosis(
                "The `ledger` stopped taking entries at 0:12, while it could still be read.",
                false,
            ),
            6 => {
                self.locked = false;
                self.mark("ledger locked", MarkEdge::End);
                self.wait(1);
                self.found(
                    "unbooked",
                    Severity::Warning,
                    FindingState::Cleared,
                    "counters 36, ledger 36",
                );
                self.note("ledger", Tone::Good, "takes entries, 2 ms");
                self.say(
                    Tone::Good,
                    "the ledger was unlocked, and all that had been kept was booked",
                );
                self.measured("unbooked after", 0.0, "letters", "");
                self.wait(5);
            }
            7 => self.rush(),
            8 => {
                self.expected("more letters than the quota", true);
                self.measured("taken", 44.0, "letters", "quota 30, 14 too many");
                self.wait(2);
                self.proof();
            }
            9 => self.diagnosis(
                "Forty letters came within 0.1 s; each counter looked at the ledger of a moment \
                 ago.",
                true,
            ),
            _ => {
                self.expected("the queue reaches the street", false);
                let row = |name: &str, cells: [&str; 2], bar| TableRow {
                    cells: [name, cells[0], cells[1]].map(String::from).to_vec(),
                    bar,
                };
                self.emit(Event::Table(Table {
                    title: "44 letters at once, quota 30".into(),
                    headings: ["booking", "taken", "minutes a letter"]
                        .map(String::from)
                        .to_vec(),
                    rows: vec![
                        row("now and then", ["44", "0.1"], [30, 14]),
                        row("each letter", ["30", "2.5"], [30, 0]),
                    ],
                }));
                self.say(Tone::Plain, "Closing time.");
                self.wait(2);
            }
        }
        if runs && !matches!(chapter, 3 | 9) {
            self.emit(Event::Settled { chapter });
        }
        self.take()
    }

    fn ledger_locked(&mut self) {
        self.status("somebody locks the ledger in", 3);
        self.wait(3);
        self.mark("ledger locked", MarkEdge::Begin);
        self.locked = true;
        self.say(Tone::Warning, "the ledger is locked; the counters go on");
        self.status("the ledger is locked", 10);
        self.note("ledger", Tone::Warning, "locked, 4 letters wait");
        self.wait(1);
        self.found(
            "unbooked",
            Severity::Warning,
            FindingState::Raised,
            "counters 14, ledger 12, 2 unbooked",
        );
        self.wait(6);
        self.found(
            "unbooked",
            Severity::Warning,
            FindingState::Raised,
            "counters 26, ledger 12, 14 unbooked",
        );
        let reason = "not yet: the chapter is not done".into();
        self.emit(Event::Refused { reason });
    }

    /// The first letters that came through the door, each from its arrival to its stamp.
    fn proof(&mut self) {
        let row = |nth: u8| {
            let from = f64::from(nth) * 0.21;
            let label = format!("counter-{}", nth % 3 + 1);
            IntervalRow {
                label,
                from,
                to: from + 1.4 + f64::from(nth * 7 % 5) * 0.3,
            }
        };
        let title = "11 letters within 4.7 s, where 10 may be taken".into();
        let rows = (0..11).map(row).collect();
        self.emit(Event::Intervals(Intervals {
            title,
            unit: "s".into(),
            rows,
            allowed: Some(10),
        }));
    }

    fn rush(&mut self) {
        self.emit(Event::Focused {
            charts: vec!["rush".into(), "rate".into()],
        });
        self.wait(3);
        self.mark("rush", MarkEdge::Moment);
        self.health(Reachability::Suspect, true);
        (self.sum, self.rate) = (44.0, 19.0);
        self.wait(1);
        self.rate = 4.0;
        self.found(
            "over_quota",
            Severity::Critical,
            FindingState::Raised,
            "44 letters in one minute, quota 30",
        );
        self.wait(2);
    }

    fn diagnosis(&mut self, cause: &str, unfinished: bool) {
        let text = format!(
            "Cause: {cause}\n\n\
             - letters at the counters: 4/s before, 4/s during: steady\n\
             - entries in the ledger: 4/s before, 0/s during: changed first\n\
             - ledger, time to read: 2 ms before, 2 ms during: steady\n\n\
             Alternatives:\n\
             - the counters counted twice: refuted, the letters are there\n\
             - no letters came: refuted, the queue was as long as ever\n\n\
             Action: unlock the ledger. Expect it to catch up within 2 s.\n"
        );
        let evidence = "[E1] letters 4/s, then 4/s\n[E2] entries 4/s, then 0/s\n";
        self.emit(Event::Text {
            panel: "diagnosis".into(),
            piece: evidence.into(),
            detail: true,
        });
        let until = if unfinished {
            text.find("Alternatives").unwrap_or(0)
        } else {
            text.len()
        };
        for piece in text[..until].split_inclusive(' ') {
            self.emit(Event::Text {
                panel: "diagnosis".into(),
                piece: piece.into(),
                detail: false,
            });
        }
        self.wait(2);
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds * 5 {
            self.now += Duration::from_millis(200);
            if self.counted {
                self.sample();
            }
        }
    }

    /// Letters pile up while the ledger is locked. At 0:14 the clerk looked away for a second.
    fn sample(&mut self) {
        if self.locked {
            self.sum += 0.4;
        } else {
            self.ledger = self.sum;
        }
        let looked = self.now.as_secs() != 14;
        let seen = |value: f64| Some((value * 10.0).round() / 10.0).filter(|_| looked);
        let [a, b, c] = [0.35, 0.33, 0.32].map(|share| seen(self.sum * share));
        let (sum, ledger) = (seen(self.sum), seen(self.ledger));
        let values = vec![
            a,
            b,
            c,
            sum,
            ledger,
            Some(30.0),
            seen(self.sum - self.ledger),
        ];
        self.emit(Event::Sampled {
            chart: "letters".into(),
            values,
        });
        let over = seen((self.sum - 30.0).max(0.0));
        self.emit(Event::Sampled {
            chart: "rush".into(),
            values: vec![a, b, c, sum, Some(30.0), over],
        });
        let away = if self.rate > 10.0 { 2.0 } else { 0.0 };
        self.emit(Event::Sampled {
            chart: "rate".into(),
            values: vec![Some(self.rate), Some(away)],
        });
    }

    fn status(&mut self, text: &str, seconds: u64) {
        let status = StatusLine {
            text: text.into(),
            remaining: Some(Duration::from_secs(seconds)),
        };
        self.emit(Event::Status {
            status: Some(status),
        });
    }

    fn health(&mut self, third: Reachability, connected: bool) {
        let node = |n: usize, state| SubjectNode {
            id: format!("counter-{n}"),
            address: "hall".into(),
            state,
        };
        let nodes = vec![
            node(1, Reachability::Up),
            node(2, Reachability::Up),
            node(3, third),
        ];
        let dependencies = vec![Dependency {
            name: "ledger".into(),
            connected,
        }];
        let has_issues = third != Reachability::Up || !connected;
        self.emit(Event::Health(HealthSnapshot {
            nodes,
            dependencies,
            has_issues,
            last_updated: None,
        }));
        self.note("counter-1", Tone::Plain, "1.2 ms");
    }

    fn found(&mut self, name: &str, severity: Severity, state: FindingState, evidence: &str) {
        let known = self
            .firsts
            .iter()
            .find(|(id, _)| id == name)
            .map(|(_, at)| *at);
        let first_seen = known.unwrap_or(self.now);
        self.firsts.push((name.into(), first_seen));
        let detected_at = first_seen + Duration::from_millis(612);
        let subject = "ledger".into();
        let (id, name, evidence) = (name.into(), name.into(), evidence.into());
        self.emit(Event::Found(Finding {
            id,
            name,
            subject,
            severity,
            state,
            first_seen,
            detected_at,
            evidence,
        }));
    }

    fn say(&mut self, tone: Tone, text: &str) {
        self.emit(Event::Said {
            tone,
            text: text.into(),
        });
    }

    fn note(&mut self, about: &str, tone: Tone, text: &str) {
        self.emit(Event::Noted {
            about: about.into(),
            tone,
            text: text.into(),
        });
    }

    fn measured(&mut self, name: &str, value: f64, unit: &'static str, detail: &str) {
        self.emit(Event::Measured(Measurement {
            name: name.into(),
            value,
            unit: unit.into(),
            detail: detail.into(),
        }));
    }

    fn expected(&mut self, name: &str, occurred: bool) {
        self.emit(Event::Expected {
            name: name.into(),
            occurred,
        });
    }

    fn mark(&mut self, label: &str, edge: MarkEdge) {
        self.emit(Event::Marked(Mark {
            label: label.into(),
            edge,
        }));
    }

    fn emit(&mut self, event: Event) {
        self.events.push(TimedEvent {
            at: self.now,
            event,
        });
    }

    fn take(&mut self) -> Vec<TimedEvent> {
        std::mem::take(&mut self.events)
    }
}

fn chapters() -> Vec<ChapterInfo> {
    let chapter = |title: &str, narration: &str, key_hint: &str| ChapterInfo {
        title: title.into(),
        narration: narration.into(),
        key_hint: key_hint.into(),
        blocks_advance: false,
        auto_advance: false,
        repeatable: false,
        has_encore: false,
    };
    let fault = |title, narration, key_hint| ChapterInfo {
        blocks_advance: true,
        repeatable: true,
        ..chapter(title, narration, key_hint)
    };
    vec![
        chapter(
            "Welcome",
            "A small post office has three counters and one ledger. Each counter takes letters and \
             writes them into the ledger now and then, because walking there for every letter \
             would take too long.\n\n\
             There is a quota of `30` letters a minute. We shall see it broken twice, in two ways.",
            "see who is there",
        ),
        chapter(
            "Who is there",
            "Three counters, one ledger, and a queue that never ends.",
            "count",
        ),
        chapter(
            "Counting",
            "Four seconds of an ordinary morning.",
            "lock the ledger",
        ),
        fault(
            "The ledger is locked",
            "Somebody turns the key of the ledger for ten seconds. Whoever wants to read it can; \
             whoever wants to write has to wait. The counters have letters to take, and take them.",
            "see what was found",
        ),
        chapter(
            "What was found",
            "The auditor compares the counters' own lists with the ledger, five times a second.",
            "ask why",
        ),
        chapter(
            "Why",
            "From evidence alone, and without having seen who turned the key.",
            "unlock",
        ),
        chapter("All is booked", "The key is turned back.", "call a crowd"),
        fault(
            "The rush",
            "Forty letters come through the door at once, fourteen to each counter.",
            "see what was found",
        ),
        chapter(
            "What the rush did",
            "Each counter saw a ledger with room in it.",
            "ask why",
        ),
        chapter("Why again", "From evidence alone.", "go home"),
        chapter(
            "Closing time",
            "Two ways to break one promise:\n\n\
             - the ledger did not hear of the letters\n\
             - the letters came faster than the ledger was heard\n\n\
             And one way to keep it: ask the ledger before each letter.",
            "finish",
        ),
    ]
}

fn charts() -> Vec<ChartSpec> {
    use SeriesRole::{Bad, Bound, Gap, Good, Part, Sum, Whole};
    let counters = ["counter-1", "counter-2", "counter-3"].map(|name| (name, Part));
    let totals = [
        ("counters", Sum),
        ("ledger", Whole),
        ("quota", Bound),
        ("unbooked", Gap),
    ];
    let rush = [("counters", Sum), ("quota", Bound), ("too many", Gap)];
    vec![
        chart(
            "letters",
            "Letters in the last minute",
            "letters",
            ChartKind::Curves,
            &[&counters[..], &totals].concat(),
        ),
        chart(
            "rate",
            "Letters at the door",
            "1/s",
            ChartKind::Curves,
            &[("taken", Good), ("sent away", Bad)],
        ),
        chart(
            "rush",
            "Letters of the rush",
            "letters",
            ChartKind::Stack,
            &[&counters[..], &rush].concat(),
        ),
    ]
}
