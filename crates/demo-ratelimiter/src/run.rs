use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use demo_core::{ChaosType, DemoRunner, Pace};
use demo_tui::Tui;
use ratelimiter_api::{CountingMode, NodeClient};
use ratelimiter_chaos::Burst;
use ratelimiter_cluster::LocalCluster;
use ratelimiter_health::{PollerConfig, RateLimiterHealthPoller};
use ratelimiter_store::{Link, StoreVersion};
use tokio::sync::mpsc;

use crate::cli::{self, RunArgs};
use crate::detector::Detector;
use crate::engine::DiagnosisEngine;
use crate::exit::Exit;
use crate::signals::Signals;
use crate::subject::{REQUEST, Subject};
use crate::{headless, screen, story};

/// Plays the story and says how it ended. Whatever was started is ended before this returns.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<Exit> {
    // Everything that can be wrong with the command line is found before anything is started.
    let limit = args.burst.checked_limit()?;
    cli::chaos(ChaosType::Pause { duration: args.pause.into() })?;
    let scope = args.target.reach.scope();
    let given = args.target.redis_url.as_ref().map(cli::StoreText::url).transpose()?;
    let engine = DiagnosisEngine::new(args.model.as_deref(), args.llm_url.as_deref())?;
    let front_end = FrontEnd::choose(&args)?;
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
    let (endpoints, store) = match (&cluster, given) {
        (Some(cluster), _) => (cluster.endpoints(), cluster.store_url()),
        (None, Some(url)) => (args.target.endpoints, url),
        (None, None) => return Err(cli::Usage("--endpoint needs --redis-url".into()).into()),
    };
    // Refuses what is too large or too far away, as the chapter would, only sooner.
    Burst::new(endpoints.clone(), args.burst.key.clone(), limit.admissions(), args.burst.multiplier, scope)
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
        key: args.burst.key,
        limit,
        multiplier: args.burst.multiplier,
        pause: args.pause.into(),
        counting: args.counting,
        on_store_failure: args.on_store_failure,
        engine,
        detector: OnceLock::new(),
        acts: Mutex::default(),
    });
    let exit = tokio::select! {
        biased;
        exit = signals.next() => Ok(exit),
        ready = answers(&subject) => match ready {
            Ok(()) => play(subject, front_end, signals).await,
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

async fn play(subject: Arc<Subject>, front_end: FrontEnd, signals: Signals) -> anyhow::Result<Exit> {
    let poller = RateLimiterHealthPoller::new(PollerConfig {
        endpoints: subject.endpoints.clone(),
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
    });
    let (runner, events) = DemoRunner::new(story::SUBJECT, story::chapters(&subject), Arc::new(poller));
    let runner = runner.pace(front_end.pace()).charts(story::charts(&subject));
    let stage = runner.stage();
    let detector =
        Detector::start(&subject.endpoints, subject.store.clone(), stage, story::sampler(&subject))?;
    subject.detector.set(detector).expect("the story is played once");
    let (keys, inputs) = mpsc::channel(8);
    let story = tokio::spawn(runner.run(inputs));
    match front_end {
        FrontEnd::Lines { json, asked } => {
            if !asked {
                eprintln!("standard output is no terminal: printing lines, as with --headless");
            }
            headless::show(story, events, keys, json, signals).await
        }
        FrontEnd::Screen { tui, .. } => screen::show(*tui, story, events, keys, signals).await,
    }
}

/// Where the story is shown.
enum FrontEnd {
    /// On standard output, a line an event.
    Lines {
        json: bool,
        /// Somebody wanted it so; otherwise there is just no terminal.
        asked: bool,
    },
    /// In the terminal, or on a screen that nobody sees.
    Screen { tui: Box<Tui>, pace: Pace },
}

impl FrontEnd {
    /// Checks all that the front-end needs, before anything is started.
    fn choose(args: &RunArgs) -> anyhow::Result<Self> {
        let lines = args.headless || args.json;
        if lines && args.screen.is_asked_for() {
            return Err(cli::Usage(
                "--record, --picture and --offscreen need the screen: leave --headless and --json out".into(),
            )
            .into());
        }
        if lines || (args.screen.offscreen.is_none() && !std::io::stdout().is_terminal()) {
            anyhow::ensure!(
                lines || !args.screen.is_asked_for(),
                "there is no terminal to record: give --offscreen WxH"
            );
            return Ok(Self::Lines { json: args.json, asked: lines });
        }
        let local = if args.target.endpoints.is_empty() { "local cluster" } else { "given cluster" };
        let pace = if args.screen.offscreen.is_some() { Pace::Auto } else { Pace::Manual };
        let tui = Box::new(Tui::new(args.screen.options(local))?);
        Ok(Self::Screen { tui, pace })
    }

    fn pace(&self) -> Pace {
        match self {
            Self::Lines { .. } => Pace::Auto,
            Self::Screen { pace, .. } => *pace,
        }
    }
}
