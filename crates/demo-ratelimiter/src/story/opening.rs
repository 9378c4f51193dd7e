use std::sync::Arc;
use std::time::Duration;

use demo_core::{Chapter, ChapterResult, Stage, Tone};
use ratelimiter_chaos::{reset_counter, setup_rate_limit};
use ratelimiter_store::{Link, StoreVersion};
use tokio::time::{Instant, sleep_until};

use super::charts::DRIFT_ACT;
use super::counts;
use crate::REQUEST;
use crate::cluster::DemoCluster;
use crate::traffic;

/// Title of the chapter that later ones build on.
pub(super) const SETUP: &str = "Setup";
/// Time of the workload before the first fault, as a baseline.
const BASELINE: Duration = Duration::from_secs(5);

pub(super) fn chapters(cluster: &Arc<DemoCluster>) -> Vec<Chapter> {
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
        .on_enter_with(Arc::clone(cluster), cluster_health),
        setup(cluster),
    ]
}

/// The chapter that sets the limits and starts the workload.
fn setup(cluster: &Arc<DemoCluster>) -> Chapter {
    let narration = format!(
        "{} may be admitted {} times in any {} s, by all nodes together. A steady workload also \
         runs on three other \
         keys, well below their limits.",
        cluster.key,
        cluster.limit.admissions(),
        cluster.limit.window().as_secs()
    );
    Chapter::new(SETUP, narration)
        .key_hint("skip")
        .auto_advance()
        .on_enter_with(Arc::clone(cluster), set_up)
}

async fn cluster_health(stage: Stage, cluster: Arc<DemoCluster>) -> ChapterResult {
    let version = StoreVersion::check(&Link::new(cluster.store.clone()), REQUEST).await?;
    stage.say(Tone::Good, format!("store: {version} at {}", cluster.store));
    for node in &cluster.nodes {
        let health = node.health().await?;
        stage.say(
            Tone::Good,
            format!(
                "{} at {}: {} counting, syncs every {} ms, store {}",
                health.node,
                node.endpoint(),
                cluster.counting.unwrap_or(health.counting),
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

async fn set_up(stage: Stage, cluster: Arc<DemoCluster>) -> ChapterResult {
    stage.focus(DRIFT_ACT);
    let entry =
        setup_rate_limit(&cluster.nodes, &cluster.spec(&cluster.key, cluster.limit)).await?;
    stage.say(
        Tone::Plain,
        format!(
            "{}: limit {}, {} counting",
            entry.key, entry.limit, entry.counting
        ),
    );
    // A run before this one may have left admissions in the window.
    reset_counter(&cluster.nodes, &cluster.key).await?;
    for key in traffic::keys() {
        setup_rate_limit(&cluster.nodes, &cluster.spec(&key, traffic::limit())).await?;
    }
    stage.say(Tone::Plain, format!("workload: {}", traffic::describe()));
    cluster
        .live
        .traffic
        .start(&cluster.endpoints, cluster.scope)?;
    stage.status("measuring what is normal", Some(BASELINE));
    tokio::select! {
        () = stage.cancelled() => return Ok(()),
        () = sleep_until(Instant::now() + BASELINE) => {}
    }
    let Some(latest) = cluster.detector.log().latest else {
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
