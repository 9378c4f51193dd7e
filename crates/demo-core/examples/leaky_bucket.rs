//! A story whose subject is no computer system at all: a bucket gets a hole, and a detector
//! notices.
//!
//! `cargo run -p demo-core --example leaky_bucket`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use demo_core::{
    Chapter, DemoRunner, Dependency, Event, HealthPoller, HealthSnapshot, MarkEdge, Reachability,
    SubjectNode, Tone, Transcript,
};
use tokio::time::{interval, sleep};

/// Water comes from a tap and leaves through a hole, if there is one.
#[derive(Default)]
struct Bucket {
    millilitres: AtomicU64,
    hole: AtomicBool,
    removed: AtomicBool,
}

impl HealthPoller for Bucket {
    async fn run(&self) {
        let mut ticks = interval(Duration::from_millis(20));
        while !self.removed.load(Ordering::Relaxed) {
            ticks.tick().await;
            let level = self.millilitres.load(Ordering::Relaxed);
            let lost = if self.hole.load(Ordering::Relaxed) {
                25
            } else {
                0
            };
            self.millilitres
                .store((level + 10).saturating_sub(lost), Ordering::Relaxed);
        }
    }

    fn health(&self) -> HealthSnapshot {
        let leaking = self.hole.load(Ordering::Relaxed);
        let state = if leaking {
            Reachability::Suspect
        } else {
            Reachability::Up
        };
        HealthSnapshot {
            nodes: vec![SubjectNode {
                id: "bucket".into(),
                address: "the yard".into(),
                state,
            }],
            dependencies: vec![Dependency {
                name: "tap".into(),
                connected: true,
            }],
            has_issues: leaking,
            last_updated: None,
        }
    }

    fn stop(&self) {
        self.removed.store(true, Ordering::Relaxed);
    }
}

fn story(bucket: &Arc<Bucket>) -> Vec<Chapter> {
    let (hole, detector) = (Arc::clone(bucket), Arc::clone(bucket));
    vec![
        Chapter::new(
            "Welcome",
            "A bucket under a tap fills. What if it had a hole?",
        ),
        Chapter::new("The hole", "Someone drills.")
            .blocks_advance()
            .on_enter(move |stage| {
                let bucket = Arc::clone(&hole);
                async move {
                    sleep(Duration::from_millis(400)).await;
                    bucket.hole.store(true, Ordering::Relaxed);
                    stage.mark("hole", MarkEdge::Begin);
                    Ok(())
                }
            }),
        Chapter::new("Detection", "Is the level falling?").on_enter(move |stage| {
            let bucket = Arc::clone(&detector);
            async move {
                let before = bucket.millilitres.load(Ordering::Relaxed);
                sleep(Duration::from_millis(200)).await;
                let after = bucket.millilitres.load(Ordering::Relaxed);
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a bucket holds less than 2^52 ml"
                )]
                stage.measured("level", after as f64, "ml", format!("it was {before} ml"));
                stage.expected("falling level", after < before);
                bucket.hole.store(false, Ordering::Relaxed);
                stage.mark("hole", MarkEdge::End);
                stage.say(Tone::Good, "a cork was found");
                Ok(())
            }
        }),
    ]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let bucket = Arc::new(Bucket::default());
    let (runner, mut events) = DemoRunner::new("A bucket", story(&bucket), bucket);
    let story = tokio::spawn(runner.play());
    let mut transcript = Transcript::new();
    while let Some(stamped) = events.recv().await {
        for line in transcript.lines(&stamped) {
            println!("{line}");
        }
        if matches!(stamped.event, Event::Finished { .. }) {
            break;
        }
    }
    story.await.expect("the story does not panic");
}
