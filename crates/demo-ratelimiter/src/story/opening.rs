use std::sync::Arc;
use std::time::Duration;

use demo_core::{Chapter, ChapterResult, Stage, Tone};
use ratelimiter_chaos::{reset_counter, setup_rate_limit};
use ratelimiter_store::{Link, StoreVersion};
use tokio::time::{Instant, sleep_until};

use super::charts::DRIFT_ACT;
use super::counts;
use crate::REQUEST;
use crate::subject::Subject;
use crate::traffic;

/// Title of the chapter that later ones build on.
pub(super) const SETUP: &str = "Setup";
/// Time of the workload before the first fault, as a baseline.
const BASELINE: Duration = Duration::from_secs(5);

pub(super) fn chapters(subject: &Arc<Subject>) -> Vec<Chapter> {
    vec![
        Chapter::new(
            "Welcome",
            "Three rate limiter nodes share one store. Each node decides by itself and reports its \
             admissions to the store; \
             most rate limiters in production work this way.\n\n\
             Two faults will be injected, for real. Nothing on this screen is scripted: every \
             number is measured, and if \
             nothing breaks, the demo reports that.",
        )
        .key_hint("look at the cluster"),
        Chapter::new(
            "Cluster Health",
            "Before anything is broken: do all nodes and the store answer? Nodes are asked over \
             HTTP, the store directly.",
        )
        .key_hint("set up the limits")
        .on_enter_with(Arc::clone(subject), cluster_health),
        setup(subject),
    ]
}

/// The chapter that sets the limits and starts the workload.
fn setup(subject: &Arc<Subject>) -> Chapter {
    let narration = format!(
        "{} may be admitted {} times in any {} s, by all nodes together. A steady workload also \
         runs on three other \
         keys, well below their limits.",
        subject.key,
        subject.limit.admissions(),
        subject.limit.window().as_secs()
    );
    Chapter::new(SETUP, narration)
        .key_hint("skip")
        .auto_advance()
        .on_enter_with(Arc::clone(subject), set_up)
}

async fn cluster_health(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    let version = StoreVersion::check(&Link::new(subject.store.clone()), REQUEST).await?;
    stage.say(Tone::Good, format!("store: {version} at {}", subject.store));
    for node in &subject.nodes {
        let health = node.health().await?;
        stage.say(
            Tone::Good,
            format!(
                "{} at {}: {} counting, syncs every {} ms, store {}",
                health.node,
                node.endpoint(),
                subject.counting.unwrap_or(health.counting),
                health.sync_interval_ms,
                if health.redis_connected {
                    "connected"
                } else {
                    "not connected"
                }
            ),
        );
    }
    Ok(())
}

async fn set_up(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    stage.focus(DRIFT_ACT);
    let entry =
        setup_rate_limit(&subject.nodes, &subject.spec(&subject.key, subject.limit)).await?;
    stage.say(
        Tone::Plain,
        format!(
            "{}: limit {}, {} counting",
            entry.key, entry.limit, entry.counting
        ),
    );
    // A run before this one may have left admissions in the window.
    reset_counter(&subject.nodes, &subject.key).await?;
    for key in traffic::keys() {
        setup_rate_limit(&subject.nodes, &subject.spec(&key, traffic::limit())).await?;
    }
    stage.say(Tone::Plain, format!("workload: {}", traffic::describe()));
    subject
        .live
        .traffic
        .start(&subject.endpoints, subject.scope)?;
    stage.status("measuring what is normal", Some(BASELINE));
    tokio::select! {
        () = stage.cancelled() => return Ok(()),
        () = sleep_until(Instant::now() + BASELINE) => {}
    }
    let Some(latest) = subject.detector.log().latest else {
        return Err("the observer has finished no round yet".into());
    };
    for counts in counts::of_workload(&latest.observation) {
        let (key, admitted) = (&counts.key, counts.admitted());
        let shared = counts.shared.unwrap_or(0);
        stage.say(
            Tone::Good,
            format!("{key}: nodes admitted {admitted}, store counts {shared}"),
        );
    }
    Ok(())
}
