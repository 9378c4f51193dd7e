//! The command `torture`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum as _};
use cli_support::{Exit, ExitSignals, ResultDirectory, WrongUsage, did_you_mean, print, remark};
use parking_lot::Mutex;
use ratelimiter_invariants::Promise;
use ratelimiter_target::Target as _;
use ratelimiter_verify::{
    Cell, CellProperty, CellVerdict, FaultTrial, SCORECARD_VERSION, Scorecard, TrialJudge, VERSION,
    platform, write_history,
};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::faults::{FAULTS, FaultRow};
use super::play::{PlayedTrial, Trial, TrialSettings};
use super::results::{RESULTS, exit, finish, heading, line, previous, save, whole_seconds};
use super::stop::{StopRule, StopWatch};
use crate::command_line::without_secrets;
use crate::commands::{new_key_part, run_judge};
use crate::system::{RunningSystem, SystemSource};

/// Time of a trial beside its fault and its window.
const BESIDE: Duration = Duration::from_millis(900);

#[derive(Debug, Args)]
pub(crate) struct TortureArgs {
    /// The system file
    #[arg(default_value = "limiter.toml")]
    file: PathBuf,
    /// Only this fault; repeat for more
    #[arg(long = "fault", value_name = "FAULT", value_parser = fault_name)]
    faults: Vec<&'static str>,
    /// Only this cell, as writes-held/excess; repeat for more. Its fault is played
    #[arg(long = "cell", value_name = "FAULT/PROPERTY", value_parser = cell_name)]
    cells: Vec<(&'static str, CellProperty)>,
    /// Eight faults instead of all
    #[arg(long, conflicts_with_all = ["faults", "cells"])]
    quick: bool,
    /// Seed of all draws; drawn from the clock unless given
    #[arg(long)]
    seed: Option<u64>,
    /// Length of a fault
    #[arg(long = "for", value_name = "DURATION", default_value = "1500ms",
        value_parser = humantime::parse_duration)]
    lasts: Duration,
    /// Directory for scorecard.json and the history of each trial; both are written as they come
    #[arg(long, value_name = "DIR", default_value = "torture")]
    out: PathBuf,
    /// Replace the results that are in that directory
    #[arg(long)]
    force: bool,
    /// An earlier scorecard.json: shows the cells that became better or worse
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Ends early, where others use the system too: errors=20% (of the checks of a trial),
    /// latency=500ms (of a decided check), health=URL (which must go on to answer 200 to 299)
    #[arg(long, value_name = "CONDITION")]
    stop_when: Vec<StopRule>,
    /// The properties that end the run with exit code 3 when they are broken, and with 4 when they
    /// are undecided; others are only reported
    #[arg(long, value_name = "PROPERTY", value_enum, value_delimiter = ',',
        default_values_t = CellProperty::value_variants().to_vec())]
    fail_on: Vec<CellProperty>,
}

fn fault_name(text: &str) -> Result<&'static str, String> {
    let names = || FAULTS.iter().map(|row| row.name);
    names().find(|name| *name == text).ok_or_else(|| {
        let all = Vec::from_iter(names()).join(", ");
        format!(
            "no fault {text:?}{}: there are {all}",
            did_you_mean(text, names())
        )
    })
}

fn cell_name(text: &str) -> Result<(&'static str, CellProperty), String> {
    let (fault, property) = text.split_once('/').ok_or("expected FAULT/PROPERTY")?;
    Ok((fault_name(fault)?, CellProperty::from_str(property, false)?))
}

impl TortureArgs {
    fn is_chosen(&self, row: &FaultRow) -> bool {
        if self.quick {
            return row.is_quick;
        }
        let mut named = self
            .faults
            .iter()
            .chain(self.cells.iter().map(|(fault, _)| fault));
        self.faults.len() + self.cells.len() == 0 || named.any(|name| *name == row.name)
    }

    /// The cells of a fault that were asked for.
    fn keep(&self, fault: &str, cells: Vec<Cell>) -> Vec<Cell> {
        let mut of_fault = self
            .cells
            .iter()
            .filter(|(name, _)| *name == fault)
            .peekable();
        if of_fault.peek().is_none() {
            return cells;
        }
        let wanted: Vec<CellProperty> = of_fault.map(|(_, property)| *property).collect();
        cells
            .into_iter()
            .filter(|cell| wanted.contains(&cell.property))
            .collect()
    }
}

/// Plays the faults, one after the other.
pub(crate) async fn torture(args: TortureArgs) -> anyhow::Result<Exit> {
    let previous = args.against.as_deref().map(previous).transpose()?;
    let source = SystemSource::read(&args.file)?;
    let rows: Vec<&FaultRow> = FAULTS.iter().filter(|row| args.is_chosen(row)).collect();
    let histories: Vec<String> = rows
        .iter()
        .map(|row| format!("{}.jsonl", row.name))
        .collect();
    let names = histories.iter().map(String::as_str).chain(RESULTS);
    ResultDirectory::create(&args.out, args.force, names)?;
    // The scorecard is replaced after every trial.
    let directory = ResultDirectory::create(&args.out, true, [])?;
    let mut signals = ExitSignals::listen()?;
    let mut system = tokio::select! {
        exit = signals.next() => return Ok(exit),
        system = RunningSystem::start(&source, &[]) => system?,
    };
    let run = system.asked[0].run();
    let promise = run.contract.promise();
    if !system.target.has_key() {
        let why = "torture needs a {key} in the request: each trial has keys of its own";
        return Err(WrongUsage(why.into()).into());
    }
    let seed = args
        .seed
        .unwrap_or_else(|| u64::from_str_radix(&new_key_part(), 16).unwrap_or(1) % 1_000_000);
    let settings = TrialSettings {
        limit: u64::from(promise.first().max()),
        window: promise.memory(),
        deadline: run.deadline,
        lasts: args.lasts,
        recovers_within: source.file.recovers_within,
        seed,
        part: format!("t{}", new_key_part()),
    };
    let [bound, after_loss] = source.bounds()?;
    let checker = |of: Option<&Promise>| {
        let mut contract = run.contract.clone();
        if let Some(promise) = of {
            contract.limits = promise.limits().to_vec();
        }
        run_judge(&contract).checker
    };
    let judge = TrialJudge {
        checker: checker(None),
        bound: checker(bound.as_ref()),
        policy: source.file.on_store_failure,
        deadline: run.deadline,
        recovers_within: source.file.recovers_within,
    };
    let of_loss = TrialJudge {
        bound: checker(after_loss.as_ref()),
        ..judge.clone()
    };
    let stated = |words: &str, of: Option<&Promise>| {
        let limits = of.map_or(&[][..], Promise::limits).iter();
        Vec::from_iter(limits.map(|limit| format!("{words}{limit}")))
    };
    let command = |rest: &[&str]| {
        let file = args.file.display().to_string();
        let seed = seed.to_string();
        let words = ["ratelimiter-verify", "torture", &file, "--seed", &seed];
        let words = words.iter().chain(rest).map(|word| (*word).to_owned());
        without_secrets(words)
    };
    let store = match &system.store {
        Some(store) => store.version().await.ok(),
        None => None,
    };
    let mut card = Scorecard {
        version: SCORECARD_VERSION,
        tool: VERSION.into(),
        platform: platform(),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        system: system.target.describe(),
        store,
        promise: [
            stated("", Some(&promise)),
            stated("admits at most ", bound.as_ref()),
            stated("after a loss of the store at most ", after_loss.as_ref()),
        ]
        .concat(),
        policy: judge.policy.map(|policy| policy.as_str().to_owned()),
        seed,
        command: command(if args.quick { &["--quick"] } else { &[] }),
        planned: rows.len(),
        partial: Some("it was interrupted".into()),
        trials: Vec::new(),
    };
    let one = args.lasts + settings.window.mul_f64(1.35) + BESIDE;
    print(format_args!(
        "system: {}\npromise: {}; seed {seed}; {} faults, about {}",
        card.system,
        card.promise.join(", "),
        rows.len(),
        whole_seconds(one * rows.len() as u32)
    ))?;
    print(heading())?;
    let watch = StopWatch::new(args.stop_when.clone());
    let began = Instant::now();
    let (mut stopped, mut operations) = (None, Vec::new());
    {
        let playing = async {
            for (n, (row, file)) in rows.iter().zip(&histories).enumerate() {
                let victim = (seed as usize + n) % system.controlled().max(1);
                let mut trial = match row.obstacle(&system, victim) {
                    Some(why) => not_run(row, why),
                    None => {
                        watch.begin();
                        let played = Trial {
                            target: system.target.clone(),
                            system: &mut system,
                            settings: &settings,
                            row,
                            victim,
                            watch: &watch,
                            origin: Instant::now(),
                            operations: Mutex::default(),
                            counts: Vec::new(),
                        };
                        match played.play().await {
                            Ok(mut played) => {
                                let judge = if row.is_loss() { &of_loss } else { &judge };
                                let trial = report(row, judge, &directory, file, &mut played)?;
                                operations.resize_with(n, Vec::new);
                                operations.push(played.record.operations);
                                trial
                            }
                            Err(error) => not_run(row, &format!("{error:#}")),
                        }
                    }
                };
                trial.cells = args.keep(row.name, trial.cells);
                trial.repeat = command(&["--fault", row.name]);
                let left = began.elapsed().div_f64((n + 1) as f64) * (rows.len() - n - 1) as u32;
                print(line(&trial, &format!("{} left", whole_seconds(left))))?;
                card.trials.push(trial);
                if watch.is_stopped() {
                    card.partial = watch.why();
                    save(&directory, &card)?;
                    return anyhow::Ok(());
                }
                if n + 1 == rows.len() {
                    card.partial = None;
                }
                save(&directory, &card)?;
            }
            anyhow::Ok(())
        };
        tokio::pin!(playing);
        let health = watch.watch_health(ratelimiter_target::Reach::new(true));
        tokio::pin!(health);
        let mut is_watched = !args.stop_when.is_empty();
        loop {
            tokio::select! {
                biased;
                exit = signals.next() => {
                    stopped = Some(exit);
                    break;
                }
                played = &mut playing => {
                    played?;
                    break;
                }
                watched = &mut health, if is_watched => {
                    watched?;
                    is_watched = false;
                }
            }
        }
    }
    system.mend().await;
    finish(
        &card,
        &operations,
        &judge.checker,
        previous.as_ref(),
        &directory,
    )?;
    if let Some(exit) = stopped {
        return Ok(exit);
    }
    if let Some(why) = &card.partial {
        remark(format_args!("stopped: {why}"));
        return Ok(Exit::Failure);
    }
    Ok(exit(&card, &args.fail_on))
}

fn trial_of(row: &FaultRow) -> FaultTrial {
    FaultTrial {
        fault: row.name.to_owned(),
        about: row.about.to_owned(),
        requested: None,
        measured: None,
        effects: Vec::new(),
        history: None,
        history_sha256: None,
        counts: Vec::new(),
        cells: Vec::new(),
        repeat: Vec::new(),
    }
}

fn not_run(row: &FaultRow, why: &str) -> FaultTrial {
    let cell = |property: &CellProperty| Cell {
        property: *property,
        verdict: CellVerdict::NotRun,
        reason: why.to_owned(),
        figures: Vec::new(),
    };
    FaultTrial {
        cells: CellProperty::all().iter().map(cell).collect(),
        ..trial_of(row)
    }
}

/// Judges a trial, and writes its history.
fn report(
    row: &FaultRow,
    judge: &TrialJudge,
    directory: &ResultDirectory,
    file: &str,
    played: &mut PlayedTrial,
) -> anyhow::Result<FaultTrial> {
    let PlayedTrial {
        record,
        measured,
        requested,
    } = played;
    let mut history = Vec::new();
    write_history(&record.operations, &mut history)?;
    let digest = Sha256::digest(&history);
    directory.file(file)?.write(&String::from_utf8(history)?)?;
    Ok(FaultTrial {
        requested: Some(*requested),
        measured: *measured,
        history: Some(file.to_owned()),
        history_sha256: Some(digest.iter().map(|byte| format!("{byte:02x}")).collect()),
        cells: judge.cells(record)?,
        effects: std::mem::take(&mut record.effects),
        counts: record.counts.take().unwrap_or_default(),
        ..trial_of(row)
    })
}
