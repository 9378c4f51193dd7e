use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cli_support::{Exit, ExitSignals, ResultDirectory, WrongUsage, append, print, remark};
use ratelimiter_invariants::{HistoryChecker, Promise};
use ratelimiter_target::{ExecSite, Target};
use ratelimiter_verify::{
    Plan, PlanDepth, PlanSettings, RunFacts, RunJudge, RunStatus, RunVerdict, StepRecord, VERSION,
    hypothesis, journal, junit, page, platform, read_records, run, summary, table, timelines,
    what_if, write_history,
};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::args::{CheckArgs, ContractArgs, VerifyArgs, WhatIfArgs};
use crate::asked::{AskCommand, set_limits};
use crate::command_line::without_secrets;
use crate::progress::{RecordProgress, RunProgress};

/// Version of `verdict.json`, as `docs/verdict.schema.json` describes it. Raised when a field
/// changes its meaning or goes.
const VERDICT_VERSION: u32 = 2;
/// A limiter that runs already.
pub(crate) async fn ask(asked: &AskCommand) -> anyhow::Result<Exit> {
    let target = asked.target(ExecSite::default())?;
    verify(std::slice::from_ref(asked), &*target).await
}

/// A limiter whose nodes are asked so, all by the plan of the first.
pub(crate) async fn verify(asked: &[AskCommand], target: &dyn Target) -> anyhow::Result<Exit> {
    let args = asked[0].run();
    let plan = plan(args, target)?;
    if !args.dry_run {
        set_limits(asked, plan.steps.iter().flat_map(|step| &step.keys)).await?;
    }
    play(args, &plan, target).await
}

/// Records that exist already.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let settings = args.records.settings(false);
    let progress = RecordProgress::of(&args.records.files, &settings);
    let records = read_records(&args.records.files, &settings)?;
    progress.beside(|| records.notes.iter().try_for_each(print))?;
    let mut judge = RunJudge {
        fresh: args.fresh,
        ..run_judge(&args.contract)
    };
    let start = records
        .histories
        .iter()
        .filter_map(|(_, h)| h.start())
        .min();
    if let Some(start) = start.filter(|_| !args.fresh) {
        judge.checker = judge.checker.complete_since(start);
    }
    if !args.complete.unwrap_or(records.lacks.is_empty()) {
        judge = judge.of_incomplete();
        let lacks = match records.lacks {
            "" => "checks",
            lacks => lacks,
        };
        let said = format!("denials are not judged, since the records may lack {lacks} ");
        progress.beside(|| print(said + "(--complete true)"))?;
    }
    let directory = args.out.result_directory()?;
    let kept = directory.as_ref().map(|_| records.histories.clone());
    let verdict = judge.histories(records.histories)?;
    progress.clear();
    print_verdict(&verdict)?;
    let command = without_secrets(std::env::args().skip(1));
    let names = args
        .records
        .files
        .iter()
        .map(|file| file.display().to_string());
    let facts = RunFacts {
        target: &format!("records: {}", Vec::from_iter(names).join(", ")),
        command: &command,
        date: SystemTime::now(),
        history_sha256: None,
    };
    let page = || {
        let kept = kept.unwrap_or_default();
        let operations = |place: usize| match judge.checker.promise().is_by_key() {
            true => kept
                .get(place)
                .map_or(Vec::new(), |(_, one)| one.iter().collect()),
            false => kept.iter().flat_map(|(_, one)| one.iter()).collect(),
        };
        page(&verdict, operations, &judge.checker, facts)
    };
    let promise = judge.checker.promise();
    write(directory.as_ref(), facts, promise, &verdict, page, &[])?;
    Ok(exit(&verdict))
}

/// Limits on the demand of records.
pub(crate) fn try_limits(args: WhatIfArgs) -> anyhow::Result<Exit> {
    let records = read_records(&args.records.files, &args.records.settings(true))?;
    records.notes.iter().try_for_each(print)?;
    for limit in args.limits {
        let tried = what_if(&records.histories, limit, records.origin).map_err(WrongUsage::of)?;
        print(format_args!("\n{tried}"))?;
    }
    Ok(Exit::Success)
}

pub(crate) fn run_judge(args: &ContractArgs) -> RunJudge {
    RunJudge {
        checker: HistoryChecker::new(args.promise())
            .clock_tolerance(args.clock_tolerance)
            .uncertainty(args.uncertainty),
        fail_on: args.fail_on.clone(),
        decides_within: args.decides_within,
        fresh: true,
        judges_claims: true,
        deadline: None,
    }
}

fn plan(args: &VerifyArgs, target: &dyn Target) -> Result<Plan, WrongUsage> {
    let settings = PlanSettings {
        promise: args.contract.promise(),
        cost: args.cost,
        multiplier: args.multiplier,
        bursts: args.bursts,
        depth: match args.repeat {
            Some(time) => PlanDepth::Repeated(time),
            None if args.thorough => PlanDepth::Thorough,
            None => PlanDepth::Quick,
        },
        phases: args.phases.clone(),
        key_part: args.key_part.clone().unwrap_or_else(new_key_part),
        has_key: target.has_key(),
        rest: args.rest,
        nodes: target.nodes().len(),
        forges: target.forged(0).is_some(),
        untrusted: args.untrusted,
        has_calls: target.has_calls(),
        has_cost: target.has_cost(),
        during: args.during.clone(),
        max_requests: args.max_requests,
    };
    Plan::new(&settings).map_err(WrongUsage::of)
}

/// A word that no other run has: the time in milliseconds.
pub(crate) fn new_key_part() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("{:x}", now.unwrap_or_default().as_millis())
}

/// Plays a plan of these arguments.
pub(crate) async fn play_planned(args: &VerifyArgs, target: &dyn Target) -> anyhow::Result<Exit> {
    play(args, &plan(args, target)?, target).await
}

/// Plays the plan, judges it, and writes the results.
async fn play(args: &VerifyArgs, plan: &Plan, target: &dyn Target) -> anyhow::Result<Exit> {
    print(format_args!("target: {}", target.describe()))?;
    let takes = humantime::format_duration(Duration::from_secs(plan.left(0).as_secs() + 1));
    print(format_args!(
        "plan: {}, {} checks in {}, about {takes}",
        plan.promise,
        plan.requests(),
        match plan.steps.len() {
            1 => "1 step".to_owned(),
            steps => format!("{steps} steps"),
        }
    ))?;
    if !target.has_key() {
        print("requests have no {key}: all phases share one quota")?;
    }
    if !plan.rest.is_zero() {
        let rest = humantime::format_duration(plan.rest);
        print(format_args!("{rest} pass before each step"))?;
    }
    for skipped in &plan.skipped {
        print(format_args!(
            "skipped: {}: {}",
            skipped.phase, skipped.reason
        ))?;
    }
    if args.dry_run {
        for limit in plan.promise.limits() {
            let sentence = limit.sentence();
            print(format_args!("promised: '{limit}': {sentence}"))?;
        }
        for step in &plan.steps {
            print(format_args!(
                "  {:<10} {:>6} checks in {:>5.1} s on {}",
                step.phase,
                step.requests,
                step.takes.as_secs_f64(),
                step.keys[0]
            ))?;
        }
        return Ok(Exit::Success);
    }
    let directory = args.out.result_directory()?;
    let mut signals = ExitSignals::listen()?;
    let progress = RunProgress::of(plan);
    let stop = CancellationToken::new();
    let playing = run(plan, target, args.deadline, &stop, |n, step| {
        progress.before(plan, n, step);
    });
    tokio::pin!(playing);
    let mut stopped = None;
    let (recorded, end) = loop {
        tokio::select! {
            biased;
            exit = signals.next() => {
                if stopped.replace(exit).is_some() {
                    progress.clear();
                    remark(format_args!("{}: nothing was judged or written", exit.meaning()));
                    return Ok(exit);
                }
                stop.cancel();
            }
            played = &mut playing => break played,
        }
    };
    progress.clear();
    let nothing = recorded.iter().all(|record| record.keys.is_empty());
    let end = match (end, stopped) {
        (Err(error), None) if nothing => return Err(error.into()),
        (_, Some(exit)) if nothing => return Ok(exit),
        (end, _) => end,
    };
    let judge = RunJudge {
        deadline: Some(args.deadline),
        ..run_judge(&args.contract)
    };
    let mut verdict = judge.run(plan, &recorded)?;
    let cause = match (&end, stopped) {
        (_, Some(exit)) => Some(exit.meaning().to_owned()),
        (Err(error), None) => Some(error.to_string()),
        (Ok(()), None) => None,
    };
    if let Some(cause) = cause {
        verdict = verdict.partial(cause);
    }
    print("")?;
    print_verdict(&verdict)?;
    let (history, digest) = recorded_history(&recorded)?;
    let command = without_secrets(std::env::args().skip(1));
    let facts = RunFacts {
        target: &target.describe(),
        command: &command,
        date: recorded.first().map_or(UNIX_EPOCH, |first| first.began),
        history_sha256: Some(&digest),
    };
    let journal = journal(plan, &recorded, &verdict, facts.target);
    let page = || {
        let operations = |place| verdict.operations(&recorded, place);
        page(&verdict, operations, &judge.checker, facts)
    };
    let more = [
        ("history.jsonl", history),
        ("journal.json", format!("{journal:#}\n")),
    ];
    write(
        directory.as_ref(),
        facts,
        &plan.promise,
        &verdict,
        page,
        &more,
    )?;
    if let Some(exit) = stopped {
        return Ok(exit);
    }
    end?;
    Ok(exit(&verdict))
}

fn print_verdict(verdict: &RunVerdict) -> anyhow::Result<()> {
    if let Some(lines) = hypothesis(verdict) {
        print(lines)?;
    }
    if let Some(drawing) = timelines(verdict, 100) {
        print(format_args!("{drawing}\n"))?;
    }
    print(table(verdict))
}

fn exit(verdict: &RunVerdict) -> Exit {
    match verdict.status {
        RunStatus::Passed => Exit::Success,
        RunStatus::Violated => Exit::Violated,
        RunStatus::Undecided | RunStatus::NotExercised => Exit::Undecided,
    }
}

/// The records of a run, and their digest in hexadecimal digits.
fn recorded_history(recorded: &[StepRecord]) -> anyhow::Result<(String, String)> {
    let mut history = Vec::new();
    write_history(
        recorded.iter().flat_map(|record| &record.operations),
        &mut history,
    )?;
    let digest = Sha256::digest(&history);
    let digest = digest.iter().map(|byte| format!("{byte:02x}"));
    Ok((String::from_utf8(history)?, digest.collect()))
}

/// Writes the results into the directory, if there is one, beside some of a run alone, and adds the
/// summary to the page of a workflow of GitHub's. `operations` has the checks of each judgement.
fn write(
    directory: Option<&ResultDirectory>,
    facts: RunFacts<'_>,
    promise: &Promise,
    verdict: &RunVerdict,
    page: impl FnOnce() -> String,
    more: &[(&str, String)],
) -> anyhow::Result<()> {
    let summary = summary(verdict, facts);
    if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") {
        append(Path::new(&path), &summary)?;
    }
    let Some(directory) = directory else {
        return Ok(());
    };
    let json = serde_json::json!({
        "version": VERDICT_VERSION,
        "tool": VERSION,
        "platform": platform(),
        "date": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "command": facts.command,
        "target": facts.target,
        "contract": promise.first(),
        "promise": promise,
        "history_sha256": facts.history_sha256,
        "verdict": verdict,
        "skipped": verdict.not_played,
    });
    let judged = [
        ("verdict.json", format!("{json:#}\n")),
        ("report.html", page()),
        ("junit.xml", junit(verdict).map_err(anyhow::Error::msg)?),
        ("summary.md", summary),
    ];
    for (name, content) in judged.iter().chain(more) {
        directory.file(name)?.write(content)?;
    }
    print(format_args!("results: {}", directory.path().display()))
}
