//! Every defect that shows without a fault is accused for its own reason; a correct limiter never
//! is.
//!
//! Time is the paused clock's: a run of fifteen minutes takes milliseconds, and is the same every
//! time.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod calls;
mod catalogue;
mod correct;
mod defects;
mod double;
mod headlines;
mod limiter;
#[path = "../../examples/defects/played.rs"]
mod played;
#[path = "../../examples/defects/programs.rs"]
mod programs;
mod rebuilt;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::ValueEnum as _;
use double::Double;
use ratelimiter_invariants::{Contract, ContractKind, HistoryChecker, Verdict};
use ratelimiter_target::Target;
use ratelimiter_verify::{
    FindingKind, Phase, Plan, PlanDepth, PlanSettings, RunError, RunFinding, RunJudge, RunVerdict,
    run,
};
use tokio_util::sync::CancellationToken;

const NODES: usize = 3;

fn settings(limit: u32, window: Duration, kind: ContractKind) -> PlanSettings {
    PlanSettings {
        promise: Contract::new(limit, window).unwrap().of_kind(kind).into(),
        cost: 1,
        multiplier: 2,
        bursts: 5,
        depth: PlanDepth::Thorough,
        phases: Vec::new(),
        key_part: "test".into(),
        has_key: true,
        rest: None,
        nodes: NODES,
        forges: true,
        untrusted: false,
        has_calls: false,
        has_cost: true,
        during: None,
        max_requests: 100_000,
    }
}

async fn verify(target: &Double, settings: &PlanSettings) -> RunVerdict {
    try_verify(target, settings).await.unwrap()
}

async fn try_verify(target: &dyn Target, settings: &PlanSettings) -> Result<RunVerdict, RunError> {
    let plan = Plan::new(settings).unwrap();
    let deadline = Duration::from_secs(5);
    let stop = CancellationToken::new();
    let (recorded, end) = run(&plan, target, deadline, &stop, |_, _| {}).await;
    end?;
    let judge = RunJudge {
        checker: HistoryChecker::new(plan.promise.clone()).uncertainty(Duration::from_millis(1)),
        fail_on: FindingKind::value_variants().to_vec(),
        decides_within: None,
        fresh: true,
        judges_claims: true,
        deadline: None,
    };
    Ok(judge.run(&plan, &recorded).unwrap())
}

/// What a judgement can accuse a limiter of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    OverAdmission,
    UnderAdmission,
    NoReturn,
    Dishonest,
}

use Reason::{Dishonest, NoReturn, OverAdmission, UnderAdmission};

fn reasons(verdict: &RunVerdict) -> BTreeSet<(Phase, Reason)> {
    let mut reasons = BTreeSet::new();
    for one in &verdict.judged {
        let phase = one.phase.unwrap();
        if let Verdict::Violated(witness) = &one.report.verdict {
            let cost: u64 = witness.operations.iter().map(|op| u64::from(op.cost)).sum();
            assert!(
                cost > u64::from(one.report.contract.max()),
                "a witness that proves nothing: {witness}"
            );
            reasons.insert((phase, OverAdmission));
        }
        for finding in &one.findings {
            reasons.insert((
                phase,
                match finding {
                    RunFinding::UnderAdmission { .. } => UnderAdmission,
                    RunFinding::NoReturn { .. } => NoReturn,
                    RunFinding::Dishonest { .. } => Dishonest,
                    RunFinding::LongWait { .. } | RunFinding::Hang { .. } => {
                        unreachable!("no limit of these waits, and no deadline is judged")
                    }
                },
            ));
        }
    }
    reasons
}
