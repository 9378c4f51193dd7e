//! The arguments of the commands.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum as _};
use cli_support::{Hidden, ResultDirectory, WrongUsage};
use hyper::Method;
use hyper::header::HeaderName;
use ratelimiter_api::{CountingMode, Endpoint};
use ratelimiter_invariants::{Contract, Promise};
use ratelimiter_store::StoreUrl;
use ratelimiter_target::{
    Authorities, Expectation, ProxyProtocol, Reach, SourceAddress, StatusSet, Template,
};
use ratelimiter_verify::{FindingKind, Phase, RecordFormat, RecordSettings, StatusOutcomes};

/// The contract, and how histories are read.
#[derive(Clone, Debug, Args)]
pub(crate) struct ContractArgs {
    /// Cost that any window may hold, as 10/2s or '10/2s token-bucket'; repeat for limits that hold
    /// at once
    ///
    /// Other forms are '10/2s token-bucket' (a bucket of 10 that fills in 2 s), '10/2s fixed'
    /// (windows whose edges are not known), '10/2s fixed aligned' (fixed windows that are the same
    /// for all keys), '10/2s two-period' (an estimate from two periods), '1/200ms paced wait=2s'
    /// (calls wait instead of being denied), '10 in-flight' (calls at once). docs/promises.md has
    /// all words.
    #[arg(long = "limit", value_name = "AMOUNT/WINDOW FORM", required = true)]
    pub(crate) limits: Vec<Contract>,
    /// Largest difference in rate between the limiter's clock and this one, parts per million
    #[arg(long, value_name = "PPM", default_value_t = 100)]
    pub(crate) clock_tolerance: u32,
    /// Every time may be wrong by this much
    ///
    /// The resolution of the limiter's clock, or of a history merged from several machines.
    #[arg(long, default_value = "1ms", value_parser = humantime::parse_duration)]
    pub(crate) uncertainty: Duration,
    /// Your statement that a check is decided within this time of its request
    ///
    /// Whenever its answer comes. A pass that rests on it names it.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) decides_within: Option<Duration>,
    /// The findings that end the run with exit code 3
    ///
    /// Others are only reported.
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',',
        default_values_t = FindingKind::value_variants().to_vec())]
    pub(crate) fail_on: Vec<FindingKind>,
}

impl ContractArgs {
    pub(crate) fn promise(&self) -> Promise {
        Promise::new(self.limits[0].clone(), self.limits[1..].iter().cloned())
    }
}

/// The plan of a run, and the place of its results.
#[derive(Clone, Debug, Args)]
pub(crate) struct VerifyArgs {
    // The heading is that of all that follow.
    #[command(flatten, next_help_heading = "Options of every verification")]
    pub(crate) contract: ContractArgs,
    /// Cost of a check
    ///
    /// As tokens a call where the limit is in tokens. The request carries it as {cost}.
    #[arg(long, default_value_t = 1)]
    pub(crate) cost: u32,
    /// Size of a burst, in limits
    #[arg(long, default_value_t = 2)]
    pub(crate) multiplier: u32,
    /// Bursts, each on a key of its own
    #[arg(long, default_value_t = 5)]
    pub(crate) bursts: u32,
    /// At most about fifteen minutes, instead of one
    ///
    /// Phases that take longer are left out.
    #[arg(long)]
    pub(crate) thorough: bool,
    /// At most so long, such as 10m; phases are repeated on new keys
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "thorough",
        value_parser = humantime::parse_duration)]
    pub(crate) repeat: Option<Duration>,
    /// Time without checks before each phase
    ///
    /// For limiters that remember longer than a window. Where requests have no {key}, it is 1.1
    /// windows unless given.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) rest: Option<Duration>,
    /// Only this phase; repeat for more
    #[arg(long = "phase", value_name = "PHASE", value_enum)]
    pub(crate) phases: Vec<Phase>,
    /// Command of the shell that injects a fault and undoes it
    ///
    /// Such as 'docker pause store; sleep 5; docker unpause store'. Bursts are sent before, during
    /// and after it. It goes on to its end whatever happens to this run.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) during: Option<String>,
    /// X-Forwarded-For and its kin must not change the answers
    ///
    /// No proxy before the limiter is trusted. Without this, a limit that they evade is a remark,
    /// since a limiter may trust this machine by its configuration.
    #[arg(long)]
    pub(crate) untrusted: bool,
    /// Print the plan, its checks and its duration, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Part of the keys' names, to tell runs apart
    ///
    /// Drawn from the clock unless given.
    #[arg(long, value_name = "WORD")]
    pub(crate) key_part: Option<String>,
    /// Time for one check to be answered; a later answer is unknown
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Duration,
    /// The most checks that may be sent
    ///
    /// Phases that need more are left out.
    #[arg(long, value_name = "CHECKS", default_value_t = 1_000_000)]
    pub(crate) max_requests: u64,
    /// Allow targets that are not on this machine
    #[arg(long)]
    allow_remote: bool,
    #[command(flatten)]
    pub(crate) out: ResultArgs,
}

impl VerifyArgs {
    pub(crate) fn reach(&self) -> Reach {
        Reach::new(self.allow_remote)
    }
}

/// The place of results.
#[derive(Clone, Debug, Args)]
pub(crate) struct ResultArgs {
    /// Directory for verdict.json, report.html, junit.xml, summary.md
    ///
    /// Of a run also for history.jsonl and journal.json.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the results that are in that directory
    #[arg(long, requires = "out")]
    force: bool,
}

impl ResultArgs {
    /// The directory, without files that may not be replaced.
    pub(crate) fn result_directory(&self) -> anyhow::Result<Option<ResultDirectory>> {
        let create = |path| ResultDirectory::create(path, self.force, RESULTS);
        self.out.as_deref().map(create).transpose()
    }
}

/// The files of `--out`.
const RESULTS: [&str; 6] = [
    "history.jsonl",
    "verdict.json",
    "journal.json",
    "report.html",
    "junit.xml",
    "summary.md",
];

/// A store that is broken or observed.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// URL of the store
    #[arg(
        long,
        value_name = "URL",
        env = "RATELIMITER_STORE",
        hide_env_values = true
    )]
    store: Hidden,
    /// File of certificates in PEM form to trust beside the system's, for a rediss:// store with a
    /// private authority
    #[arg(long, value_name = "FILE", env = "RATELIMITER_STORE_CA")]
    store_ca: Option<PathBuf>,
    /// Allow nodes and stores that are not on this machine
    #[arg(long)]
    allow_remote: bool,
}

impl StoreArgs {
    pub(crate) fn url(&self) -> Result<StoreUrl, WrongUsage> {
        StoreUrl::parse(self.store.expose(), self.store_ca.as_deref()).map_err(WrongUsage::of)
    }

    pub(crate) fn reach(&self) -> Reach {
        Reach::new(self.allow_remote)
    }
}

/// The authorities for a target behind TLS.
#[derive(Clone, Debug, Args)]
pub(crate) struct TrustArgs {
    /// File of certificates in PEM form to trust beside the system's
    ///
    /// For a limiter behind TLS with a private authority.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Accept every certificate of a limiter on this machine
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

impl TrustArgs {
    pub(crate) fn trust(&self) -> Result<Authorities, WrongUsage> {
        if self.insecure {
            return Authorities::any().map_err(WrongUsage::of);
        }
        let trust = self.ca.as_deref().map(Authorities::in_file).transpose();
        Ok(trust.map_err(WrongUsage::of)?.unwrap_or_default())
    }
}

#[derive(Debug, Args)]
pub(crate) struct HttpArgs {
    /// URL of a check, with {key}, {cost} and {ip}; repeat for each node
    ///
    /// They are filled in here and in header fields and the body, each escaped as its place
    /// demands. {ip} is an address of 127.0.0.0/8 for each key. A socket file is
    /// unix:/path/of/socket:/path.
    #[arg(long = "url", value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    /// Socket file to connect to, instead of the URL's host and port
    #[arg(long, value_name = "FILE")]
    pub(crate) unix: Option<PathBuf>,
    /// Address from which connections come, such as {ip}
    ///
    /// That is one of 127.0.0.0/8 for each key, for limiters that count by address.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "unix")]
    pub(crate) source: Option<SourceAddress>,
    /// State an address for each key, as a load balancer does
    ///
    /// Before the first byte of a connection, by the PROXY protocol.
    #[arg(long, value_name = "VERSION")]
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Ask in HTTP/2 without a question. Otherwise https:// servers choose, and http:// is HTTP/1.1
    #[arg(long)]
    pub(crate) http2: bool,
    /// Connections over which HTTP/2 spreads the checks of a burst at a node; every other check is
    /// on the first one. More where the server permits too few streams
    #[arg(long, value_name = "COUNT", default_value = "8")]
    pub(crate) connections: NonZeroUsize,
    /// Method of the request
    #[arg(long, default_value = "GET")]
    pub(crate) method: Method,
    /// Header field of the request; repeat for more
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<Hidden>,
    /// Body of the request
    #[arg(long)]
    body: Option<Hidden>,
    /// Statuses of an allowed check
    #[arg(long, value_name = "STATUSES", default_value = "200-299")]
    pub(crate) allowed: StatusSet,
    /// Statuses of a denied check, and close for no answer
    ///
    /// close is a connection that is closed without an answer.
    #[arg(long, value_name = "STATUSES", default_value = "429")]
    pub(crate) denied: StatusSet,
    /// Statuses of a check that failed for another reason than quota
    ///
    /// It was not admitted: 503 of a limiter that lost its store.
    #[arg(long, value_name = "STATUSES")]
    pub(crate) failed: Option<StatusSet>,
    /// Place in the JSON body that allows a check: /allowed=true
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) json_path: Option<Expectation>,
    #[command(flatten)]
    pub(crate) tls: TrustArgs,
    #[command(flatten)]
    pub(crate) run: VerifyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Node of a cluster of this project; repeat for each
    #[arg(long = "node", value_name = "URL", required = true)]
    pub(crate) nodes: Vec<Endpoint>,
    /// Counting mode: atomic, leased, cached or read-then-write [default: the nodes' own]
    #[arg(long)]
    pub(crate) counting: Option<CountingMode>,
    /// Admin token of the nodes, if they have one
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    pub(crate) admin_token: Option<Hidden>,
    #[command(flatten)]
    pub(crate) run: VerifyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RespArgs {
    /// Store that runs the command; repeat for each node
    #[arg(long = "url", value_name = "URL", required = true)]
    pub(crate) urls: Vec<Hidden>,
    /// Command of a check, split as a shell splits words. {key} and {cost} are filled in
    #[arg(long)]
    pub(crate) command: String,
    /// Place in the reply, and its value when a check was allowed: /0=0, or =1 for the reply itself
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) allowed_reply: Expectation,
    #[command(flatten)]
    pub(crate) tls: TrustArgs,
    #[command(flatten)]
    pub(crate) run: VerifyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Program and arguments, split as a shell splits words
    #[arg(long)]
    pub(crate) command: String,
    /// Processes of it, each a node
    #[arg(long, default_value_t = 3)]
    pub(crate) processes: usize,
    /// The program reads the cost of a check
    #[arg(long)]
    pub(crate) has_cost: bool,
    #[command(flatten)]
    pub(crate) run: VerifyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GrpcArgs {
    /// Address of the service; repeat for each node
    #[arg(long = "url", value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    /// Domain of the limits
    #[arg(long)]
    pub(crate) domain: String,
    /// Entry of the descriptor; repeat for more. {key} is filled in
    #[arg(long = "entry", value_name = "NAME=VALUE", required = true)]
    entries: Vec<Hidden>,
    #[command(flatten)]
    pub(crate) tls: TrustArgs,
    #[command(flatten)]
    pub(crate) run: VerifyArgs,
}

impl GrpcArgs {
    pub(crate) fn entries(&self) -> Result<Vec<(String, Template)>, WrongUsage> {
        let entry = |text: &Hidden| {
            let (name, value) = text
                .expose()
                .split_once('=')
                .ok_or_else(|| WrongUsage("--entry: expected NAME=VALUE".into()))?;
            Ok((name.to_owned(), template("--entry", value)?))
        };
        self.entries.iter().map(entry).collect()
    }
}

/// Files of records, and how they are read.
#[derive(Clone, Debug, Args)]
pub(crate) struct RecordArgs {
    /// Files of records, gzip or not, merged by time; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// auto, a name such as caddy or k6, or a form that docs/history.md has
    ///
    /// A general format is as 'csv:begin=sent,end=answered,unit=ms,status=code', a log_format as
    /// 'nginx:$remote_addr $status $msec $request_time'.
    #[arg(long, default_value = "auto")]
    pub(crate) format: RecordFormat,
    /// What the limiter counts by: FIELD, header:NAME, '{FIELD}/{FIELD}' or all
    ///
    /// FIELD|host is without its port, all is one quota of all checks. Histories have their keys.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// The longest that a check takes, where records have one of its times
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) takes: Option<Duration>,
    /// Statuses of an allowed check
    #[arg(long, value_name = "STATUSES", default_value = "200-299")]
    pub(crate) allowed: StatusSet,
    /// Statuses of a denied check
    #[arg(long, value_name = "STATUSES", default_value = "429")]
    pub(crate) denied: StatusSet,
    /// Statuses of a check that failed for another reason than quota
    #[arg(long, value_name = "STATUSES")]
    pub(crate) failed: Option<StatusSet>,
    /// Show keys as key-1, key-2, ... instead of their text
    #[arg(long)]
    pub(crate) hide_keys: bool,
}

impl RecordArgs {
    pub(crate) fn settings(&self, demand_only: bool) -> RecordSettings {
        let failed = self.failed.clone().unwrap_or_default();
        RecordSettings {
            format: self.format.clone(),
            key: self.key.clone(),
            takes: self.takes,
            outcomes: StatusOutcomes::new(&self.allowed, &self.denied, &failed),
            demand_only,
            hide_keys: self.hide_keys,
            bytes_read: Arc::default(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) records: RecordArgs,
    /// No quota was used before the record began
    ///
    /// Otherwise all of it may have been: a window is full and a bucket empty at the first check of
    /// the file.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Whether the records have all checks of their time [default: by the format]
    ///
    /// Those without an answer too. Else denials are not judged.
    #[arg(long, value_name = "BOOL")]
    pub(crate) complete: Option<bool>,
    #[command(flatten)]
    pub(crate) contract: ContractArgs,
    #[command(flatten)]
    pub(crate) out: ResultArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WhatIfArgs {
    #[command(flatten)]
    pub(crate) records: RecordArgs,
    /// The limit to try, in the forms sliding, fixed, fixed aligned and token-bucket; repeat to
    /// compare
    #[arg(long = "limit", value_name = "AMOUNT/WINDOW FORM", required = true)]
    pub(crate) limits: Vec<Contract>,
}

// Header fields, bodies and entries may hold a secret, and clap repeats a value that it refuses. So
// they are parsed here, and an error names the flag alone.
impl HttpArgs {
    pub(crate) fn headers(&self) -> Result<Vec<(HeaderName, Template)>, WrongUsage> {
        self.headers.iter().map(header).collect()
    }

    pub(crate) fn body(&self) -> Result<Option<Template>, WrongUsage> {
        let body = self.body.as_ref().map(Hidden::expose);
        body.map(|text| template("--body", text)).transpose()
    }
}

fn header(text: &Hidden) -> Result<(HeaderName, Template), WrongUsage> {
    let refuse = |why: &str| WrongUsage(format!("--header: {why}"));
    let (name, value) = text
        .expose()
        .split_once(':')
        .ok_or_else(|| refuse("expected 'NAME: VALUE'"))?;
    let name = name.trim().parse();
    let name = name.map_err(|_| refuse("the part before the colon is no header name"))?;
    Ok((name, template("--header", value.trim())?))
}

fn template(flag: &str, text: &str) -> Result<Template, WrongUsage> {
    text.parse()
        .map_err(|why: ratelimiter_target::TemplateError| WrongUsage(format!("{flag}: {why}")))
}
