use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use cli_support::{Exit, ExitSignals, Hidden, WrongUsage, exit_help, raise_open_files, remark};
use demo_core::DemoRunner;
use ratelimiter_api::{CountingMode, NodeClient, StoreFailurePolicy};
use ratelimiter_chaos::{Burst, PauseDuration, ProxyHold, Reach, RedisPause};
use ratelimiter_cluster::{ClusterPlan, LocalCluster, Proxies};
use ratelimiter_store::{Link, StoreUrl, StoreVersion};
use ratelimiter_watch::Detector;

use crate::burst::BurstArgs;
use crate::cluster::{DemoCluster, LiveStory};
use crate::engine::DiagnosisEngine;
use crate::fault::{FaultMeans, WriteFault};
use crate::front_end::{FrontEnd, FrontEndArgs};
use crate::given_cluster::GivenCluster;
use crate::poller::ClusterPoller;
use crate::topology::TopologyChoice;
use crate::{REQUEST, exits, story};

/// Files that each process of a local cluster can have open: a node keeps 128 for other uses than
/// its clients' connections.
const OPEN_FILES: u64 = 192;

#[derive(Debug, Args)]
#[command(after_help = exit_help(exits::RUN))]
pub(crate) struct StoryArgs {
    #[command(flatten)]
    given: GivenCluster,
    #[command(flatten)]
    front_end: FrontEndArgs,
    #[command(flatten)]
    burst: BurstArgs,
    /// Begin with this chapter; the chapters that it builds on are played first, without keys
    #[arg(
        long,
        value_name = "CHAPTER",
        value_parser = clap::value_parser!(u16).range(1..=story::CHAPTERS),
        default_value_t = 1
    )]
    from: u16,
    /// Length of the store's write pause, at most 60s
    #[arg(long = "for", value_name = "DURATION", default_value_t = PauseDuration::DEFAULT)]
    pause: PauseDuration,
    /// Means of that pause
    #[arg(long, value_enum, default_value_t)]
    fault: FaultMeans,
    /// Stores of the local cluster
    #[arg(long, value_enum, default_value_t)]
    topology: TopologyChoice,
    /// Counting mode: atomic, cached, leased or read-then-write [default: as the nodes are set,
    /// cached on a local cluster]
    #[arg(long)]
    counting: Option<CountingMode>,
    /// Answer of a node that needs the store while it is unreachable: allow, deny or local
    /// [default: as the nodes are set]
    #[arg(long)]
    on_store_failure: Option<StoreFailurePolicy>,
    /// Play both faults again after the last chapter, with the remedies of their diagnoses, and
    /// judge whether these help
    #[arg(long)]
    remedy: bool,
    /// Admin token of the nodes, if they have one
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<Hidden>,
    /// Ask this language model for a second diagnosis; its key comes from the provider's usual
    /// environment variable
    #[arg(long)]
    model: Option<String>,
    /// Server of that model, with an API in the OpenAI format
    #[arg(long, value_name = "URL", requires = "model")]
    llm_url: Option<String>,
}

/// Plays the story and returns its exit code. All that was started is ended before this returns.
pub(crate) async fn run(args: StoryArgs) -> anyhow::Result<Exit> {
    // Every mistake on the command line is found before anything is started.
    let limit = args.burst.limit()?;
    let scope = args.given.reach();
    let given = args.given.store()?;
    let engine = DiagnosisEngine::new(args.model.as_deref(), args.llm_url.as_deref())?;
    let is_local = args.given.endpoints.is_empty();
    let proxied = args.fault == FaultMeans::Proxy;
    if proxied && !is_local {
        return Err(WrongUsage(
            "--fault proxy needs nodes that reach their store through the proxy, as those of the \
             local cluster do: leave out --node, or break your own cluster's link with \
             `ratelimiter-verify inject resp`"
                .into(),
        )
        .into());
    }
    if args.topology != TopologyChoice::Single && (proxied || !is_local) {
        return Err(WrongUsage(
            "--topology chooses the stores of the local cluster, which are paused without a \
             proxy: leave out --node and --fault proxy; a cluster of your own is given with \
             --store redis+cluster://... or redis+sentinel://..."
                .into(),
        )
        .into());
    }
    let mode_label = if is_local {
        "local cluster"
    } else {
        "given cluster"
    };
    raise_open_files(if is_local { OPEN_FILES } else { 0 })?;
    // The last check: it creates the file of a recording.
    let front_end = FrontEnd::choose(&args.front_end, mode_label)?;
    let mut signals = ExitSignals::listen()?;

    let local = match is_local {
        false => None,
        true => tokio::select! {
            biased;
            exit = signals.next() => return Ok(exit),
            cluster = start_cluster(&args) => Some(cluster?),
        },
    };
    let (endpoints, store) = match (&local, given) {
        (Some(local), _) => (local.endpoints(), local.store_url()),
        (None, Some(url)) => (args.given.endpoints, url),
        (None, None) => return Err(WrongUsage("--node needs --store".into()).into()),
    };
    // A burst that is too large or too far away is refused here, before its chapter.
    Burst::new(
        endpoints.clone(),
        args.burst.key.clone(),
        limit,
        args.burst.multiplier,
        scope,
    )
    .map_err(WrongUsage::of)?;
    scope
        .permit(store.is_loopback(), &store)
        .map_err(WrongUsage::of)?;

    let token = args.admin_token.map(String::from);
    let nodes: Vec<_> = endpoints
        .iter()
        .map(|e| NodeClient::new(e.clone(), REQUEST).with_token(token.clone()))
        .collect();
    let ready = tokio::select! {
        biased;
        exit = signals.next() => Err(exit),
        ready = answers(&store, &nodes) => Ok(ready),
    };
    let exit = match ready {
        Err(exit) => Ok(exit),
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) => {
            let fault = write_fault(local.as_ref(), proxied, &store, args.pause.get(), scope)?;
            let detector = Detector::start(&endpoints, store.clone(), token.as_deref(), None);
            let cluster = DemoCluster {
                endpoints,
                store,
                nodes,
                scope,
                key: args.burst.key,
                limit,
                multiplier: args.burst.multiplier,
                pause: args.pause,
                fault,
                counting: args.counting,
                on_store_failure: args.on_store_failure,
                engine,
                detector,
                live: LiveStory::default(),
            };
            let from = usize::from(args.from) - 1;
            play(cluster, front_end, (from, args.remedy), signals).await
        }
    };
    if let Some(local) = local {
        local.shutdown().await;
    }
    exit
}

async fn start_cluster(args: &StoryArgs) -> anyhow::Result<LocalCluster> {
    let counting = args.counting.unwrap_or(CountingMode::Cached);
    let topology = args.topology.stores(args.pause.get());
    let plan = ClusterPlan {
        counting,
        topology,
        on_store_failure: args.on_store_failure,
        proxies: (args.fault == FaultMeans::Proxy).then_some(Proxies::Shared),
        progress: |what| remark(what),
        ..ClusterPlan::default()
    };
    Ok(plan.start().await?)
}

/// The fault of the first act. A local cluster has the proxy that it needs.
fn write_fault(
    local: Option<&LocalCluster>,
    proxied: bool,
    store: &StoreUrl,
    pause: Duration,
    scope: Reach,
) -> anyhow::Result<WriteFault> {
    Ok(match local {
        Some(local) if proxied => {
            let (rules, behind) = (local.rules().clone(), local.node_store_url(0)?);
            WriteFault::Proxy(ProxyHold::new(rules, behind, scope)?)
        }
        _ => WriteFault::Pause(RedisPause::new(store.clone(), scope)?.at_most(pause)),
    })
}

/// Checks that the store and every node answer: a line now is better than a failed chapter later.
async fn answers(store: &StoreUrl, nodes: &[NodeClient]) -> anyhow::Result<()> {
    StoreVersion::check(&Link::new(store.clone()), REQUEST).await?;
    for node in nodes {
        node.health()
            .await
            .with_context(|| format!("the node at {} does not answer", node.endpoint()))?;
    }
    Ok(())
}

async fn play(
    cluster: DemoCluster,
    front_end: FrontEnd,
    (from, remedy): (usize, bool),
    signals: ExitSignals,
) -> anyhow::Result<Exit> {
    let poller = ClusterPoller::new(&cluster.endpoints, Duration::from_secs(2));
    let cluster = Arc::new(cluster);
    let (runner, events) = DemoRunner::new(
        story::SUBJECT,
        story::chapters(&cluster, remedy),
        Arc::new(poller),
    );
    let charts = story::charts(cluster.endpoints.len(), &cluster.key, cluster.limit);
    let runner = runner
        .pace(front_end.pace())
        .charts(charts)
        .starting_at(from)
        .map_err(WrongUsage::of)?;
    let (live, key) = (cluster.live.clone(), cluster.key.clone());
    tokio::spawn(story::show_rounds(
        runner.stage(),
        &cluster.detector,
        live,
        key,
    ));
    // From here the chapters alone hold the cluster: its detector stops with the story.
    drop(cluster);
    let (keys, story) = runner.start();
    front_end.show(story, events, keys, signals).await
}
