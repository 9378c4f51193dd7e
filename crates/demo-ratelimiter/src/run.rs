use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use demo_core::{ChaosType, DemoRunner, Input, Pace};
use ratelimiter_api::{CountingMode, NodeClient};
use ratelimiter_chaos::Burst;
use ratelimiter_cluster::LocalCluster;
use ratelimiter_health::{PollerConfig, RateLimiterHealthPoller};
use ratelimiter_store::{Link, StoreVersion};
use tokio::sync::mpsc;

use crate::cli::{self, RunArgs};
use crate::detector::Detector;
use crate::exit::Exit;
use crate::signals::Signals;
use crate::subject::{REQUEST, Subject};
use crate::{headless, story};

/// Plays the story and says how it ended. Whatever was started is ended before this returns.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<Exit> {
    // Everything that can be wrong with the command line is found before anything is started.
    let limit = cli::limit(args.limit, args.window.into())?;
    cli::chaos(ChaosType::Pause { duration: args.pause.into() })?;
    cli::chaos(ChaosType::Burst { multiplier: args.multiplier })?;
    let scope = args.target.reach.scope();
    let mut signals = Signals::listen().context("signals cannot be listened to")?;

    let cluster = if args.target.endpoints.is_empty() {
        let start = start_cluster(&args);
        tokio::select! {
            biased;
            exit = signals.next() => return Ok(exit),
            cluster = start => Some(cluster?),
        }
    } else {
        None
    };
    let (endpoints, store) = match (&cluster, args.target.redis_url) {
        (Some(cluster), _) => (cluster.endpoints(), cluster.store_url()),
        (None, Some(url)) => (args.target.endpoints, url),
        (None, None) => return Err(cli::Usage("--endpoint needs --redis-url".into()).into()),
    };
    // Refuses what is too large or too far away, as the chapter would, only sooner.
    Burst::new(endpoints.clone(), args.key.clone(), limit.admissions(), args.multiplier, scope)
        .map_err(|e| cli::Usage(e.to_string()))?;
    scope.permit_store(&store).map_err(|e| cli::Usage(e.to_string()))?;

    let token = args.admin_token;
    let nodes =
        endpoints.iter().map(|e| NodeClient::new(e.clone(), REQUEST).with_token(token.clone())).collect();
    let subject = Arc::new(Subject {
        endpoints,
        store,
        nodes,
        scope,
        key: args.key,
        limit,
        multiplier: args.multiplier,
        pause: args.pause.into(),
        counting: args.counting,
        on_store_failure: args.on_store_failure,
        detector: OnceLock::new(),
        acts: Mutex::default(),
    });
    let exit = tokio::select! {
        biased;
        exit = signals.next() => Ok(exit),
        ready = answers(&subject) => match ready {
            Ok(()) => play(subject, args.json, args.headless, signals).await,
            Err(error) => Err(error),
        },
    };
    if let Some(cluster) = cluster {
        cluster.shutdown().await;
    }
    exit
}

async fn start_cluster(args: &RunArgs) -> anyhow::Result<LocalCluster> {
    let counting = args.counting.unwrap_or(CountingMode::Cached);
    let mut builder = LocalCluster::builder().counting(counting).progress(|what| eprintln!("{what}"));
    if let Some(policy) = args.on_store_failure {
        builder = builder.on_store_failure(policy);
    }
    Ok(builder.start().await?)
}

/// Everybody who will be needed answers: better said in one line now than in the middle of the story.
async fn answers(subject: &Subject) -> anyhow::Result<()> {
    let link = Link::new(subject.store.clone())?;
    StoreVersion::check(&link, REQUEST).await?;
    for node in &subject.nodes {
        node.health().await.with_context(|| format!("the node at {} does not answer", node.endpoint()))?;
    }
    Ok(())
}

async fn play(
    subject: Arc<Subject>,
    json: bool,
    headless: bool,
    mut signals: Signals,
) -> anyhow::Result<Exit> {
    let alone = headless || json || !std::io::stdout().is_terminal();
    let poller = RateLimiterHealthPoller::new(PollerConfig {
        endpoints: subject.endpoints.clone(),
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
    });
    let (runner, events) = DemoRunner::new(story::SUBJECT, story::chapters(&subject), Arc::new(poller));
    let runner = runner.pace(if alone { Pace::Auto } else { Pace::Manual }).charts(story::charts(&subject));
    let stage = runner.stage();
    let detector =
        Detector::start(&subject.endpoints, subject.store.clone(), stage, story::sampler(&subject))?;
    subject.detector.set(detector).expect("the story is played once");

    let (keys, inputs) = mpsc::channel(8);
    let mut story = tokio::spawn(runner.run(inputs));
    let mut printing = tokio::spawn(headless::print(events, json));
    let mut reading = true;
    let mut unread = Ok(());
    let mut asked = None;
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut story => break outcome?,
            exit = signals.next() => {
                if asked.is_some() {
                    // Asked twice: what is held ends by its lease, and the cluster by its guardian.
                    return Ok(exit);
                }
                asked = Some(exit);
                eprintln!("healing, then leaving (again to leave at once)");
                let _ = keys.send(Input::Quit).await;
            }
            printed = &mut printing, if reading => {
                reading = false;
                unread = printed?;
                // Nobody reads any more, or this was the last event and the story is over anyway.
                let _ = keys.send(Input::Quit).await;
            }
        }
    };
    if reading {
        unread = printing.await?;
    }
    unread.context("standard output cannot be written to")?;
    Ok(asked.unwrap_or_else(|| Exit::from(&outcome)))
}
