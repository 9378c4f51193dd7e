use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use demo_core::{ChapterResult, Event, Stage, Table, TableRow, Tone};
use ratelimiter_api::{CountingMode, Key, Limit, LimitSpec, Operation};
use ratelimiter_chaos::{LatencySummary, reset_counter, setup_rate_limit};
use ratelimiter_invariants::{Invariant, Verdict, check_history};
use tokio::time::sleep;

use super::charts::{DRIFT_ACT, GHOST_ACT};
use super::comparison::{Failure, ModePrice, ms};
use super::diagnosing::{CauseComparison, RemedySetting};
use super::drift::{self, PauseEffect};
use super::ghost::{self, BurstEffect};
use super::handover::Handover;
use crate::cluster::DemoCluster;
use crate::traffic;

/// The command for a limiter of the audience.
pub(super) const YOURS: &str =
    "yours: ratelimiter-verify http --url 'http://HOST/?u={key}' --limit 10/1m";

/// Time of the workload before the pause.
const BASELINE: Duration = Duration::from_secs(3);

/// The results of the chapters before.
#[derive(Clone)]
pub(super) struct StoryResults {
    pub(super) cluster: Arc<DemoCluster>,
    /// Of the pause and of the burst.
    pub(super) diagnoses: [Handover<CauseComparison>; 2],
    pub(super) paused: Handover<PauseEffect>,
    pub(super) sent: Handover<BurstEffect>,
    pub(super) prices: Handover<BTreeMap<CountingMode, ModePrice>>,
}

/// Plays both faults again, each with the setting that its diagnosis has against the cause.
pub(super) async fn encore(stage: Stage, results: StoryResults) -> ChapterResult {
    stage.emit(Event::Encore {
        title: "do the remedies help?".into(),
        narration: "The same pause and the same burst again, now with the setting against the \
                    diagnosed cause. The same detector and the same checker judge them."
            .into(),
    });
    let cluster = &results.cluster;
    cluster.live.traffic.stop().await;
    let remedies = [&results.diagnoses[0], &results.diagnoses[1]]
        .map(|diagnosed| diagnosed.latest().and_then(|diagnosed| diagnosed.remedy));
    let mut tables = Vec::new();
    if let (Some(remedy), Some(before)) = (remedies[0], results.paused.latest()) {
        tables.extend(pause_again(&stage, &results, &before, remedy).await?);
    } else {
        stage.say(
            Tone::Plain,
            "counter drift: no remedy, since no cause was named",
        );
    }
    if stage.is_cancelled() {
        return Ok(());
    }
    if let (Some(remedy), Some(before)) = (remedies[1], results.sent.latest()) {
        tables.push(burst_again(&stage, &results, &before, remedy).await?);
    } else {
        stage.say(
            Tone::Plain,
            "ghost allowing: no remedy, since no cause was named",
        );
    }
    // Last, since they take the place of the charts.
    tables
        .into_iter()
        .for_each(|table| stage.emit(Event::Table(table)));
    stage.say(Tone::Plain, YOURS);
    Ok(())
}

/// Applies a remedy to a key.
async fn apply(
    cluster: &DemoCluster,
    key: &Key,
    limit: Limit,
    remedy: RemedySetting,
) -> Result<(), Failure> {
    let spec = LimitSpec {
        counting: Some(remedy.counting),
        on_store_failure: remedy.on_store_failure,
        ..LimitSpec::new(key.clone(), limit)
    };
    setup_rate_limit(&cluster.nodes, &spec).await?;
    Ok(())
}

async fn pause_again(
    stage: &Stage,
    results: &StoryResults,
    before: &PauseEffect,
    remedy: RemedySetting,
) -> Result<Option<Table>, Failure> {
    let cluster = &results.cluster;
    let was = cluster.played().await?;
    for key in traffic::keys() {
        apply(cluster, &key, traffic::limit(), remedy).await?;
    }
    stage.focus(DRIFT_ACT);
    cluster
        .live
        .traffic
        .start(&cluster.endpoints, cluster.scope)?;
    stage.status("measuring what is normal", Some(BASELINE));
    tokio::select! {
        () = stage.cancelled() => return Ok(None),
        () = sleep(BASELINE) => {}
    }
    let Some(after) = drift::pause(stage, cluster).await? else {
        return Ok(None);
    };
    cluster.live.traffic.stop().await;
    let found = cluster
        .detector
        .log()
        .since(after.report.started)
        .any(|found| found.violation.invariant == Invariant::CounterDrift);
    let [allowed, refused] = after.checks;
    let text = format!(
        "{remedy}: {}; {refused} of {} checks could not be granted",
        if found {
            "counter drift again"
        } else {
            "no counter drift"
        },
        allowed + refused
    );
    judged(stage, "counter drift", !found, text);
    let [first, last] = cluster.live.traffic.latencies();
    let row = |name: String, effect: &PauseEffect, latency: LatencySummary, mode| TableRow {
        cells: vec![
            name,
            effect.drift().to_string(),
            effect.checks[0].to_string(),
            effect.checks[1].to_string(),
            ms(latency.p99),
            results.commands(mode),
        ],
        bar: [0, effect.drift()],
    };
    Ok(Some(Table {
        title: format!(
            "the pause: {:.0} s without writes, and a load below the limits",
            after.report.held().as_secs_f64()
        ),
        headings: headings(["drift", "allowed", "not allowed"]),
        rows: vec![
            row(format!("{was}, before"), before, first, was),
            row(remedy.to_string(), &after, last, remedy.counting),
        ],
    }))
}

async fn burst_again(
    stage: &Stage,
    results: &StoryResults,
    before: &BurstEffect,
    remedy: RemedySetting,
) -> Result<Table, Failure> {
    let cluster = &results.cluster;
    let was = cluster.played().await?;
    stage.focus(GHOST_ACT);
    apply(cluster, &cluster.key, cluster.limit, remedy).await?;
    let burst = cluster.burst(&cluster.key)?;
    // An empty window, as the first burst had.
    reset_counter(&cluster.nodes, &cluster.key).await?;
    let after = burst.fire().await?;
    ghost::exercised(&after)?;
    reset_counter(&cluster.nodes, &cluster.key).await?;
    let reset = burst.fire().await?;
    ghost::exercised(&reset)?;
    let verdict = check_history(&after.operations, cluster.limit)?.verdict;
    let text = format!(
        "{remedy}: {} of {} allowed, before {}; the caller's history: {}",
        after.tally.allowed,
        after.tally.sent(),
        before.report.tally.allowed,
        match &verdict {
            Verdict::Pass => "passed".to_owned(),
            Verdict::Violated(witness) => format!("violated, {witness}"),
            Verdict::Unknown { .. } => "undecided".to_owned(),
        }
    );
    judged(stage, "ghost allowing", verdict == Verdict::Pass, text);
    // The records of a burst count from its own start.
    let later = reset.released.duration_since(after.released);
    let again = reset.operations.iter().map(|op| Operation {
        invoke: op.invoke + later,
        complete: op.complete + later,
        ..op.clone()
    });
    let both: Vec<_> = after.operations.iter().cloned().chain(again).collect();
    let both = check_history(&both, cluster.limit)?;
    let allowed = after.tally.allowed + reset.tally.allowed;
    let limit = u64::from(cluster.limit.admissions());
    let tone = match both.verdict {
        Verdict::Violated(_) => Tone::Bad,
        _ => Tone::Plain,
    };
    stage.say(
        tone,
        format!(
            "a reset is no remedy: the same burst was allowed {} more in the same window",
            reset.tally.allowed
        ),
    );
    let row = |name: String, allowed: u64, denied: u64, mode| {
        let over = allowed.saturating_sub(limit);
        let p99 = results.price(mode, |price| price.cells()[0].clone());
        TableRow {
            cells: vec![
                name,
                over.to_string(),
                allowed.to_string(),
                denied.to_string(),
                p99,
                results.commands(mode),
            ],
            bar: [allowed - over, over],
        }
    };
    let denied = |tally: ratelimiter_chaos::CheckTally| tally.sent() - tally.allowed;
    let (first, mode) = (before.report.tally, remedy.counting);
    Ok(Table {
        title: format!(
            "the burst: {} checks at once, limit {}",
            after.tally.sent(),
            cluster.limit
        ),
        headings: headings(["too many", "allowed", "not allowed"]),
        rows: vec![
            row(format!("{was}, before"), first.allowed, denied(first), was),
            row(
                remedy.to_string(),
                after.tally.allowed,
                denied(after.tally),
                mode,
            ),
            row(
                format!("{remedy}, reset"),
                allowed,
                denied(after.tally) + denied(reset.tally),
                mode,
            ),
        ],
    })
}

/// Reports whether a remedy helped. The outcome of the story depends on it.
fn judged(stage: &Stage, anomaly: &str, helped: bool, text: String) {
    stage.say(if helped { Tone::Good } else { Tone::Bad }, text);
    stage.expected(format!("help against {anomaly}"), helped);
}

fn headings(of_fault: [&str; 3]) -> Vec<String> {
    let all = [&["counting"][..], &of_fault, &["p99 ms", "commands/check"]].concat();
    all.into_iter().map(String::from).collect()
}

impl StoryResults {
    pub(super) fn new(cluster: &Arc<DemoCluster>) -> Self {
        Self {
            cluster: Arc::clone(cluster),
            diagnoses: [Handover::new(), Handover::new()],
            paused: Handover::new(),
            sent: Handover::new(),
            prices: Handover::new(),
        }
    }

    /// A cell about the price of a mode; empty where it was not measured.
    fn price(&self, mode: CountingMode, cell: impl Fn(&ModePrice) -> String) -> String {
        let prices = self.prices.latest();
        let price = prices.as_ref().and_then(|prices| prices.get(&mode));
        price.map_or_else(String::new, cell)
    }

    fn commands(&self, mode: CountingMode) -> String {
        self.price(mode, |price| price.cells()[1].clone())
    }
}
