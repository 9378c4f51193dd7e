//! The tests of others, directly and through the proxy: both must end alike.
//!
//! `cargo run --release -p resp-proxy --example foreign` runs redis-py's own tests, in RESP2 and
//! RESP3. It fetches them and their needs with pip. `... foreign valkey DIR` runs `unit/protocol`
//! and other units of Valkey's suite, with `tclsh`; DIR is an unpacked source release of Valkey,
//! which it does not fetch.
//!
//! Tests that end differently are run again both ways, since some depend on the time: the exit code
//! is 1 when some differ both times.

#[path = "../tests/support/store.rs"]
mod store;

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use resp_proxy::RespProxy;
use tempfile::TempDir;

use crate::store::Store;

type Failure = Box<dyn Error + Send + Sync>;
/// The outcome of each test, by its name.
type Outcomes = BTreeMap<String, String>;

const VERSION: &str = "redis==8.1.0";
/// What its tests import.
const NEEDS: &str = "aiohttp cryptography numpy opentelemetry-api opentelemetry-sdk packaging \
    pybreaker PyJWT pytest pytest-asyncio pytest-timeout redis-entraid requests ujson";
/// Those that need other servers than one store.
const MARKS: &str = "not onlycluster and not redismod and not ssl and not cp_integration and not \
    multidb_integration and not replica";
const APART: [&str; 6] = [
    "--ignore=tests/maint_notifications",
    "--ignore=tests/test_multidb",
    "--ignore=tests/test_scenario",
    "--ignore-glob=*cluster*",
    "--ignore-glob=*credentials*",
    "--ignore-glob=*sentinel*",
];
/// Units of Valkey's suite that need no store of their own.
const UNITS: [&str; 8] = [
    "unit/protocol",
    "unit/keyspace",
    "unit/pubsub",
    "unit/pubsubshard",
    "unit/multi",
    "unit/type/string",
    "unit/type/stream",
    "unit/scripting",
];

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["redis-py"] => {
            let suite = RedisPy::fetch()?;
            let mut differ = false;
            for protocol in ["2", "3"] {
                let run = |address: SocketAddr| suite.run(address, protocol);
                differ |= compare(&format!("redis-py, RESP{protocol}"), run).await?;
            }
            Ok(ExitCode::from(u8::from(differ)))
        }
        ["valkey", directory] => {
            let directory = Path::new(directory);
            if !directory.join("tests/test_helper.tcl").exists() {
                return Err(
                    "no tests/test_helper.tcl there: unpack a source release of Valkey, \
                    and give its directory"
                        .into(),
                );
            }
            let mut differ = false;
            for unit in UNITS {
                let run = |address: SocketAddr| valkey(directory, unit, address);
                differ |= compare(unit, run).await?;
            }
            Ok(ExitCode::from(u8::from(differ)))
        }
        _ => Err("usage: foreign [redis-py | valkey DIR]".into()),
    }
}

/// Runs a suite both ways, and once more when tests differ. True when some differ both times.
async fn compare(
    name: &str,
    run: impl Fn(SocketAddr) -> Result<Outcomes, Failure>,
) -> Result<bool, Failure> {
    let mut differing: Option<Vec<String>> = None;
    for _ in 0..2 {
        let start = || Store::start_with(&["--enable-debug-command", "local"]);
        let (direct, behind) = (start(), start());
        let upstream = behind.url().parse()?;
        let proxy = RespProxy::builder(upstream)
            .listen((Ipv4Addr::LOCALHOST, 0).into())
            .await?;
        let (expected, found) = tokio::task::block_in_place(|| {
            Ok::<_, Failure>((run(direct.address)?, run(proxy.address())?))
        })?;
        println!(
            "{name}: directly {}; through {}",
            counts(&expected),
            counts(&found)
        );
        println!("{name}: {}", proxy.counters());
        let names = expected.keys().chain(found.keys());
        let mut now: Vec<String> = names
            .filter(|test| expected.get(*test) != found.get(*test))
            .cloned()
            .collect();
        now.dedup();
        if let Some(before) = &differing {
            now.retain(|test| before.contains(test));
        }
        for test in &now {
            let outcome = |of: &Outcomes| of.get(test).cloned().unwrap_or("absent".to_owned());
            println!("  {test}: {} and {}", outcome(&expected), outcome(&found));
        }
        if expected.is_empty() {
            return Err(format!("{name}: no test was run").into());
        }
        let is_alike = now.is_empty();
        differing = Some(now);
        if is_alike {
            break;
        }
    }
    let count = differing.map_or(0, |tests| tests.len());
    println!("{name}: {count} differ\n");
    Ok(count > 0)
}

fn counts(outcomes: &Outcomes) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    outcomes
        .values()
        .for_each(|o| *counts.entry(o).or_default() += 1);
    let shown: Vec<_> = counts.iter().map(|(o, n)| format!("{n} {o}")).collect();
    shown.join(", ")
}

/// The unpacked source of redis-py, and a Python that can run its tests.
struct RedisPy {
    directory: TempDir,
    source: PathBuf,
}

impl RedisPy {
    fn fetch() -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let at = directory.path();
        println!("fetching {VERSION} and the needs of its tests");
        done(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(at.join("venv")),
        )?;
        let pip = || {
            let mut pip = Command::new(at.join("venv/bin/python"));
            pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
            pip
        };
        done(pip().arg("install").args(NEEDS.split_whitespace()))?;
        let mut download = pip();
        download.args([
            "download",
            "--no-deps",
            "--no-binary",
            "redis",
            VERSION,
            "--dest",
        ]);
        done(download.arg(at))?;
        let archive = std::fs::read_dir(at)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.to_string_lossy().ends_with(".tar.gz"))
            .ok_or("no source was fetched")?;
        done(
            Command::new("tar")
                .arg("xzf")
                .arg(&archive)
                .arg("-C")
                .arg(at),
        )?;
        let source = PathBuf::from(archive.to_string_lossy().trim_end_matches(".tar.gz"));
        Ok(Self { directory, source })
    }

    fn run(&self, store: SocketAddr, protocol: &str) -> Result<Outcomes, Failure> {
        let report = self.directory.path().join("report.xml");
        let mut pytest = Command::new(self.directory.path().join("venv/bin/python"));
        pytest
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", MARKS])
            .arg(format!("--redis-url=redis://{store}/0"))
            .arg(format!("--protocol={protocol}"))
            .arg(format!("--junitxml={}", report.display()))
            .args(APART)
            .current_dir(&self.source)
            .output()?;
        Ok(junit(&std::fs::read_to_string(report)?))
    }
}

/// The outcomes of a report in JUnit's form.
fn junit(report: &str) -> Outcomes {
    let attribute = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!(" {name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    let outcome = |case: &str| {
        let (head, rest) = case.split_once('>')?;
        let name = format!(
            "{}.{}",
            attribute(head, "classname")?,
            attribute(head, "name")?
        );
        let body = if head.ends_with('/') { "" } else { rest };
        let ended = ["failure", "error", "skipped"]
            .into_iter()
            .find(|word| body.starts_with(&format!("<{word}")));
        Some((name, ended.unwrap_or("passed").to_owned()))
    };
    report
        .split("<testcase")
        .skip(1)
        .filter_map(outcome)
        .collect()
}

/// One unit of Valkey's suite.
fn valkey(directory: &Path, unit: &str, store: SocketAddr) -> Result<Outcomes, Failure> {
    let output = Command::new("tclsh")
        .args(["tests/test_helper.tcl", "--host", &store.ip().to_string()])
        .args(["--port", &store.port().to_string(), "--single", unit])
        .current_dir(directory)
        .output()
        .map_err(|e| format!("tclsh: {e}"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let outcome = |line: &str| {
        let plain = without_colours(line);
        let (state, test) = plain.strip_prefix('[')?.split_once("]: ")?;
        let test = test.rsplit_once(" (").map_or(test, |(test, _)| test);
        let is_test = matches!(state, "ok" | "err" | "ignore" | "skip" | "exception");
        is_test.then(|| (test.to_owned(), state.to_owned()))
    };
    Ok(printed.lines().filter_map(outcome).collect())
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}

fn done(command: &mut Command) -> Result<(), Failure> {
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} ended with {status}").into())
    }
}
