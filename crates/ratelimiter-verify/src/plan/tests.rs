use ratelimiter_invariants::Promise;

use super::*;

fn settings(limit: u32, window: u64) -> PlanSettings {
    PlanSettings {
        promise: Contract::new(limit, Duration::from_secs(window))
            .unwrap()
            .into(),
        cost: 1,
        multiplier: 2,
        bursts: 5,
        depth: PlanDepth::Quick,
        phases: Vec::new(),
        key_part: "r".into(),
        has_key: true,
        rest: None,
        nodes: 3,
        forges: true,
        untrusted: false,
        has_calls: false,
        has_cost: true,
        during: None,
        max_requests: 100_000,
    }
}

fn phases(plan: &Plan) -> Vec<Phase> {
    let mut phases: Vec<_> = plan.steps.iter().map(|step| step.phase).collect();
    phases.dedup();
    phases
}

#[test]
fn a_short_window_gets_every_phase() {
    let plan = Plan::new(&settings(10, 2)).unwrap();
    let of_windows = |phase: &&Phase| phase.fits(PromiseShape::Windows) && **phase != Phase::Fault;
    let fitting = Phase::all().iter().filter(of_windows).copied();
    assert_eq!(phases(&plan), Vec::from_iter(fitting.chain([Phase::Burst])));
    assert!(plan.skipped.is_empty());
    assert!(plan.takes() <= Duration::from_secs(60));
}

#[test]
fn phases_that_do_not_fit_are_named() {
    let plan = Plan::new(&settings(10, 60)).unwrap();
    let at_once = [&Phase::all()[..6], &[Phase::Forged, Phase::Burst]];
    assert_eq!(phases(&plan), at_once.concat());
    let skipped: Vec<_> = plan.skipped.iter().map(|s| s.phase).collect();
    assert_eq!(skipped, Phase::all()[6..13]);
    assert!(
        plan.skipped[0].reason.contains("--thorough"),
        "{}",
        plan.skipped[0].reason
    );
    let thorough = Plan::new(&PlanSettings {
        depth: PlanDepth::Thorough,
        ..settings(10, 60)
    })
    .unwrap();
    assert!(thorough.skipped.is_empty());
}

#[test]
fn every_key_is_used_once() {
    let plan = Plan::new(&settings(10, 2)).unwrap();
    let mut keys: Vec<_> = plan
        .steps
        .iter()
        .flat_map(|step| step.keys.clone())
        .collect();
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

#[test]
fn a_fault_needs_its_command() {
    let with = |during: Option<&str>| PlanSettings {
        during: during.map(ToOwned::to_owned),
        phases: vec![Phase::Fault],
        ..settings(10, 2)
    };
    assert_eq!(
        phases(&Plan::new(&with(Some("true"))).unwrap()),
        [Phase::Probe, Phase::Fault]
    );
    assert!(
        Plan::new(&with(None))
            .unwrap_err()
            .to_string()
            .contains("--during")
    );
}

#[test]
fn requests_without_cost_leave_costs_out() {
    let plan = Plan::new(&PlanSettings {
        has_cost: false,
        ..settings(10, 2)
    })
    .unwrap();
    assert!(!phases(&plan).contains(&Phase::Costs));
    assert!(
        plan.skipped[0].reason.contains("{cost}"),
        "{}",
        plan.skipped[0].reason
    );
}

#[test]
fn costly_checks_are_fewer() {
    let plan = Plan::new(&PlanSettings {
        cost: 500,
        ..settings(10_000, 2)
    })
    .unwrap();
    assert_eq!((plan.limit(), plan.steps[1].requests), (20, 40));
}

#[test]
fn one_shared_quota_rests_between_steps() {
    let plan = Plan::new(&PlanSettings {
        has_key: false,
        ..settings(10, 1)
    })
    .unwrap();
    assert!(plan.rest > Duration::from_secs(1));
    assert!(plan.takes() <= Duration::from_secs(60));
    let keys: std::collections::BTreeSet<_> =
        plan.steps.iter().flat_map(|step| &step.keys).collect();
    assert_eq!(keys.len(), 1, "one quota, one history");
    let short = PlanSettings {
        has_key: false,
        rest: Some(Duration::from_millis(900)),
        ..settings(10, 1)
    };
    assert_eq!(Plan::new(&short), Err(PlanError::Rest));
}

#[test]
fn phases_repeat_for_as_long_as_asked() {
    let plan = Plan::new(&PlanSettings {
        depth: PlanDepth::Repeated(Duration::from_secs(600)),
        ..settings(10, 2)
    })
    .unwrap();
    let bursts = plan.steps.iter().filter(|step| step.phase == Phase::Burst);
    assert!(bursts.count() > 50);
    assert!(
        plan.takes() > Duration::from_secs(590),
        "{:?}",
        plan.takes()
    );
    assert!(
        plan.takes() <= Duration::from_secs(600),
        "{:?}",
        plan.takes()
    );
}

#[test]
fn bursts_under_fixed_windows_are_three_limits() {
    let mut fixed = settings(10, 2);
    let limit = fixed.promise.first().clone();
    fixed.promise = limit.of_kind(ContractKind::Fixed).into();
    let plan = Plan::new(&fixed).unwrap();
    assert_eq!((plan.multiplier, plan.steps[1].requests), (3, 30));
}

#[test]
fn phases_beyond_the_permitted_checks_are_named() {
    let plan = Plan::new(&PlanSettings {
        max_requests: 250,
        ..settings(10, 2)
    })
    .unwrap();
    assert!(plan.requests() <= 250, "{}", plan.requests());
    let overload = plan.skipped.iter().find(|s| s.phase == Phase::Overload);
    assert_eq!(
        overload.unwrap().reason.split(" leaves").next(),
        Some("it takes 90 checks, and --max-requests 250")
    );
}

#[test]
fn tokens_return_beside_the_checks() {
    let mut bucket = settings(10, 2);
    let limit = bucket.promise.first().clone();
    bucket.promise = limit.of_kind(ContractKind::TokenBucket).into();
    let plan = Plan::new(&bucket).unwrap();
    for (ms, beside) in [(599, 550), (601, 650), (720, 720), (790, 750), (0, 50)] {
        let time = plan.beside_returns(Duration::from_millis(ms));
        assert_eq!(time.as_millis(), beside, "{ms} ms");
    }
    let sliding = Plan::new(&settings(10, 2)).unwrap();
    let time = Duration::from_millis(600);
    assert_eq!(sliding.beside_returns(time), time);
}

#[test]
fn plans_out_of_bounds_are_refused() {
    let with = |change: fn(&mut PlanSettings)| {
        let mut settings = settings(10, 60);
        change(&mut settings);
        Plan::new(&settings).unwrap_err().to_string()
    };
    assert!(with(|s| s.multiplier = 1).contains("--multiplier is 1"));
    assert!(with(|s| s.cost = 11).contains("--cost is 11: it must be 1 to 10"));
    assert!(with(|s| (s.cost, s.has_cost) = (2, false)).contains("no {cost} to carry it"));
    assert!(with(|s| s.max_requests = 10).contains("--max-requests 10"));
    assert!(with(|s| s.phases = vec![Phase::Overload]).contains("no phase is left"));
    let too_short = with(|s| s.depth = PlanDepth::Repeated(Duration::from_millis(100)));
    assert!(too_short.contains("--for gives it more"), "{too_short}");
}

/// The phases of a plan for these limits, whose calls are known.
fn of_limits(limits: &[&str], named: &[Phase]) -> Result<Plan, PlanError> {
    let mut limits = limits.iter().map(|limit| limit.parse().unwrap());
    let first: Contract = limits.next().unwrap();
    Plan::new(&PlanSettings {
        promise: Promise::new(first, limits),
        phases: named.to_vec(),
        has_calls: true,
        depth: PlanDepth::Thorough,
        ..settings(10, 2)
    })
}

#[test]
fn plans_have_the_phases_of_their_promise() {
    let in_flight = phases(&of_limits(&["5 in-flight lease=1s"], &[]).unwrap());
    let calls = [Phase::Probe, Phase::Calls, Phase::Failures, Phase::HangUp];
    assert_eq!(in_flight, [&calls[..], &[Phase::Killed]].concat());
    assert_eq!(
        phases(&of_limits(&["5 in-flight"], &[]).unwrap()),
        calls[..3]
    );
    let refused = of_limits(&["5 in-flight"], &[Phase::Edge]).unwrap_err();
    assert!(refused.to_string().contains("edge: it fits windows, paced"));
}

#[test]
fn second_limit_is_exceeded_where_the_first_is_kept() {
    let second = |limits: &[&str]| {
        let plan = of_limits(limits, &[]).unwrap();
        let step = plan
            .steps
            .into_iter()
            .find(|step| step.phase == Phase::Second);
        step.map(|step| (step.requests, step.keys.len()))
    };
    assert_eq!(second(&["10/2s", "15/6s"]), Some((24, 1)));
    assert_eq!(second(&["15/6s", "10/2s"]), Some((24, 1)));
    assert_eq!(
        second(&["10/2s token-bucket", "15/6s token-bucket"]),
        Some((62, 1))
    );
    assert_eq!(second(&["10/2s", "20/2s by=user"]), Some((32, 4)));
    // The first alone keeps the second.
    assert_eq!(second(&["10/2s", "40/6s"]), None);
    assert_eq!(second(&["10/2s"]), None);
}
