//! The runner as a front-end sees it: keys in, events out. Time is paused, so nothing here waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use demo_core::{
    Chapter, DemoRunner, Event, HealthPoller, HealthSnapshot, Reachability, StoryEnd, StoryInput,
    SubjectNode, TimedEvent, Tone,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

/// A subject with one node, and a poller that records its stop.
#[derive(Default)]
struct Subject {
    stopped: AtomicBool,
}

impl HealthPoller for Subject {
    async fn run(&self) {
        std::future::pending::<()>().await;
    }

    fn health(&self) -> HealthSnapshot {
        let node = SubjectNode {
            id: "n".into(),
            address: "here".into(),
            state: Reachability::Up,
        };
        HealthSnapshot {
            nodes: vec![node],
            ..HealthSnapshot::default()
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

fn drain(events: &mut UnboundedReceiver<TimedEvent>) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok())
        .map(|s| s.event)
        .collect()
}

async fn play_alone(chapters: Vec<Chapter>) -> (StoryEnd, Vec<Event>) {
    let (runner, mut events) = DemoRunner::new("s", chapters, Arc::new(Subject::default()));
    let outcome = runner.play().await;
    (outcome, drain(&mut events))
}

async fn next_matching(
    events: &mut UnboundedReceiver<TimedEvent>,
    want: impl Fn(&Event) -> bool,
) -> Event {
    loop {
        let event = events.recv().await.expect("the story goes on").event;
        if want(&event) {
            return event;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_story_at_auto_pace_plays_itself() {
    let chapters = vec![
        Chapter::new("one", "words"),
        Chapter::new("two", "words")
            .blocks_advance()
            .on_enter(|stage| async move {
                sleep(Duration::from_secs(10)).await;
                stage.say(Tone::Good, "slept");
                Ok(())
            }),
    ];
    let (outcome, events) = play_alone(chapters).await;
    assert_eq!(outcome, StoryEnd::Completed);
    let entered: Vec<_> = events
        .iter()
        .filter(|e| matches!(e, Event::Entered { .. }))
        .collect();
    assert_eq!(
        entered,
        [
            &Event::Entered { chapter: 0 },
            &Event::Entered { chapter: 1 }
        ]
    );
    assert!(events.contains(&Event::Said {
        tone: Tone::Good,
        text: "slept".into()
    }));
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Health(h) if h.nodes.len() == 1))
    );
    assert!(matches!(events.first(), Some(Event::Started { .. })));
    assert!(matches!(
        events.last(),
        Some(Event::Finished {
            outcome: StoryEnd::Completed
        })
    ));
}

#[tokio::test(start_paused = true)]
async fn missed_expectations_are_the_outcome() {
    let chapter = |occurred| {
        Chapter::new("c", "").on_enter(move |stage| async move {
            stage.expected("the glass breaks", occurred);
            Ok(())
        })
    };
    let missed = StoryEnd::Missed {
        expectations: vec!["the glass breaks".into()],
    };
    assert_eq!(play_alone(vec![chapter(false)]).await.0, missed);
    assert_eq!(
        play_alone(vec![chapter(false), chapter(true)]).await.0,
        StoryEnd::Completed
    );
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_end_the_story() {
    let failing = Chapter::new("c", "").on_enter(|_| async { Err("no glass in the house".into()) });
    let failed = StoryEnd::Failed {
        chapter: "c".into(),
        error: "no glass in the house".into(),
    };
    assert_eq!(play_alone(vec![failing]).await.0, failed);

    let panicking = Chapter::new("c", "").on_enter(|_| async { panic!("slipped on {}", "ice") });
    let failed = StoryEnd::Failed {
        chapter: "c".into(),
        error: "panicked: slipped on ice".into(),
    };
    assert_eq!(play_alone(vec![panicking]).await.0, failed);
}

#[tokio::test(start_paused = true)]
async fn keys_work_during_callbacks_and_quitting_heals_first() {
    let healed = Arc::new(AtomicBool::new(false));
    let chapter = {
        let healed = Arc::clone(&healed);
        Chapter::new("fault", "")
            .blocks_advance()
            .on_enter(move |stage| {
                let healed = Arc::clone(&healed);
                async move {
                    stage.cancelled().await;
                    sleep(Duration::from_secs(1)).await;
                    healed.store(true, Ordering::SeqCst);
                    Ok(())
                }
            })
    };
    let subject = Arc::new(Subject::default());
    let (runner, mut events) = DemoRunner::new("s", vec![chapter], Arc::clone(&subject));
    let (keys, inputs) = mpsc::channel(8);
    let story = tokio::spawn(runner.run(inputs));

    next_matching(&mut events, |e| matches!(e, Event::Running { chapter: 0 })).await;
    keys.send(StoryInput::Advance).await.unwrap();
    next_matching(&mut events, |e| matches!(e, Event::Refused { .. })).await;
    keys.send(StoryInput::Quit).await.unwrap();
    next_matching(&mut events, |e| {
        matches!(
            e,
            Event::Finished {
                outcome: StoryEnd::Quit
            }
        )
    })
    .await;
    assert_eq!(story.await.unwrap(), StoryEnd::Quit);
    assert!(healed.load(Ordering::SeqCst));
    assert!(subject.stopped.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn callbacks_that_ignore_cancellation_are_dropped_and_heal() {
    struct Guard(Arc<AtomicBool>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let healed = Arc::new(AtomicBool::new(false));
    let chapter = {
        let healed = Arc::clone(&healed);
        Chapter::new("deaf", "").on_enter(move |_| {
            let guard = Guard(Arc::clone(&healed));
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        })
    };
    let (runner, mut events) = DemoRunner::new("s", vec![chapter], Arc::new(Subject::default()));
    let (keys, inputs) = mpsc::channel(8);
    let story = tokio::spawn(runner.run(inputs));
    next_matching(&mut events, |e| matches!(e, Event::Running { .. })).await;
    drop(keys);
    assert_eq!(story.await.unwrap(), StoryEnd::Quit);
    assert!(healed.load(Ordering::SeqCst));
}
