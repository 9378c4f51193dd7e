use std::sync::Arc;
use std::time::Duration;

use demo_core::{Chapter, ChapterResult, Stage, Tone};
use ratelimiter_chaos::{reset_counter, setup_rate_limit};
use ratelimiter_store::{Link, StoreVersion};
use tokio::time::{Instant, sleep_until};

use super::{act, workload};
use crate::detector::counts;
use crate::subject::{REQUEST, Subject};

/// How long the workload runs before anything is broken: what is normal has to be seen first.
const BASELINE: Duration = Duration::from_secs(5);

pub(super) fn chapters(subject: &Arc<Subject>) -> Vec<Chapter> {
    vec![
        Chapter::new(
            "Welcome",
            "Three rate limiter nodes share one store. Each decides by itself and tells the store what it admitted; that is \
             how most of them work in production.\n\n\
             Two faults will be injected, for real. Nothing on this screen is scripted to look broken: every number is \
             measured, and if nothing breaks, you will be told so.",
        )
        .key_hint("look at the cluster"),
        act(
            Chapter::new(
                "Cluster Health",
                "Before anything is broken: is everybody there? Nodes are asked over HTTP, the store directly.",
            )
            .key_hint("set up the limits"),
            subject,
            cluster_health,
        ),
        setup(subject),
    ]
}

/// The chapter that sets the limits and starts the workload.
fn setup(subject: &Arc<Subject>) -> Chapter {
    let narration = format!(
        "{} may be admitted {} times in any {} s, by all nodes together. Beside it, a steady workload runs on three other \
         keys with room to spare.",
        subject.key,
        subject.limit.admissions(),
        subject.limit.window().as_secs()
    );
    act(Chapter::new("Setup", narration).key_hint("skip").auto_advance(), subject, set_up)
}

async fn cluster_health(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    let version = StoreVersion::check(&Link::new(subject.store.clone())?, REQUEST).await?;
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
                if health.redis_connected { "connected" } else { "not connected" }
            ),
        );
    }
    Ok(())
}

async fn set_up(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    let entry = setup_rate_limit(&subject.nodes, &subject.spec(&subject.key, subject.limit)).await?;
    stage.say(Tone::Plain, format!("{}: limit {}, {} counting", entry.key, entry.limit, entry.counting));
    // A run before this one may have left admissions in the window.
    reset_counter(&subject.nodes, &subject.key).await?;
    for key in workload::keys() {
        setup_rate_limit(&subject.nodes, &subject.spec(&key, workload::limit())).await?;
    }
    stage.say(Tone::Plain, format!("workload: {}", workload::describe()));
    let handle = workload::start(&subject)?;
    {
        let mut acts = subject.acts();
        acts.workload = Some(handle);
        acts.act_began = Some(Instant::now());
    }

    stage.status("measuring what is normal", Some(BASELINE));
    tokio::select! {
        () = stage.cancelled() => return Ok(()),
        () = sleep_until(Instant::now() + BASELINE) => {}
    }
    let Some(latest) = subject.detector().log().latest else {
        return Err("the observer has seen nothing yet".into());
    };
    for key in workload::keys() {
        if let Some((admitted, shared)) = counts(&latest, &key) {
            stage.say(Tone::Good, format!("{key}: nodes admitted {admitted}, store counts {shared}"));
        }
    }
    Ok(())
}
