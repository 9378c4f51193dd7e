//! Promises of calls, and of several limits: a correct limiter is never accused, and each defect
//! is, by the phase that is made for it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{NodeId, Outcome};
use ratelimiter_invariants::{Contract, ContractKind, Promise};
use ratelimiter_target::{
    Call, CallEnd, Check, CheckAnswer, Connection, Cork, Target, TargetError,
};
use ratelimiter_verify::{FindingKind, Phase, PlanSettings, RunStatus, RunVerdict};
use tokio::time::{Instant, sleep, timeout};

use crate::double::{Network, Noise};
use crate::{NODES, settings, try_verify};

use FindingKind::{Denials, Excess};

const WINDOW: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(6);
const LEASE: Duration = Duration::from_secs(1);
const SETTLES: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    InFlight,
    After,
    Reserved,
    TwoWindows,
    ByUser,
}

impl Form {
    fn promise(self) -> Promise {
        let limits: &[&str] = match self {
            Self::InFlight => &["10 in-flight returns=100ms lease=1s"],
            Self::After => &["10/2s charge=after settles=100ms lease=1s"],
            Self::Reserved => &["10/2s charge=reserved settles=100ms lease=1s"],
            Self::TwoWindows => &["10/2s", "15/6s"],
            Self::ByUser => &["10/2s", "20/2s by=user"],
        };
        let mut limits = limits.iter().map(|limit| limit.parse().unwrap());
        let first: Contract = limits.next().unwrap();
        Promise::new(first, limits)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallDefect {
    OneTooMany,
    CountsEachNodeAlone,
    NeverSettles,
    SettlesTwice,
    ReservesNothing,
    KeepsFailures,
    KeepsTheGone,
    KeepsTheServed,
    ForgetsTheSecond,
    ChargesTheSecondForDenials,
    CountsTheUserByKey,
}

/// An admission.
struct Entry {
    call: u64,
    key: String,
    user: Option<String>,
    node: usize,
    begun: Duration,
    /// The end of the call, and the instant from which its end counts.
    ended: Option<Duration>,
    cost: u64,
    kept: bool,
    denied: bool,
}

struct State {
    form: Form,
    defect: Option<CallDefect>,
    entries: Vec<Entry>,
    noise: Noise,
    network: Network,
    origin: Instant,
    calls: u64,
}

impl State {
    fn is(&self, defect: CallDefect) -> bool {
        self.defect == Some(defect)
    }

    fn decide(&mut self, node: usize, check: &Check) -> (u64, bool) {
        let (now, cost) = (self.origin.elapsed(), u64::from(check.cost));
        let (key, user) = (check.key.as_str(), check.labels.get("user"));
        let alone = self.is(CallDefect::CountsEachNodeAlone);
        let of_key = |entry: &&Entry| entry.key == key && (!alone || entry.node == node);
        let of_user = |entry: &&Entry| match self.is(CallDefect::CountsTheUserByKey) {
            true => entry.key == key,
            false => entry.user.as_ref() == user,
        };
        let within = |window: Duration| move |entry: &&Entry| entry.begun + window > now;
        let admitted = || self.entries.iter().filter(|entry| !entry.denied);
        let sum = |entries: &mut dyn Iterator<Item = &Entry>| {
            entries.map(|entry| entry.cost).sum::<u64>()
        };
        let limit = 10 + u64::from(self.is(CallDefect::OneTooMany));
        let is_held =
            |entry: &&Entry| entry.kept || now < entry.ended.unwrap_or(entry.begun + LEASE);
        let first = match self.form {
            Form::InFlight => sum(&mut admitted().filter(of_key).filter(is_held)) + cost <= limit,
            Form::After => {
                let is_settled = |entry: &&Entry| entry.ended.is_some_and(|at| at <= now);
                let counts = |entry: &&Entry| entry.kept || within(WINDOW)(entry);
                sum(&mut admitted().filter(of_key).filter(is_settled).filter(counts)) < limit
            }
            Form::Reserved => {
                let counts = |entry: &&Entry| entry.kept || within(WINDOW)(entry);
                sum(&mut admitted().filter(of_key).filter(counts)) + cost <= limit
            }
            Form::TwoWindows | Form::ByUser => {
                sum(&mut admitted().filter(of_key).filter(within(WINDOW))) + cost <= limit
            }
        };
        let outer = || self.entries.iter();
        let second = self.is(CallDefect::ForgetsTheSecond)
            || match self.form {
                Form::TwoWindows => {
                    sum(&mut outer().filter(of_key).filter(within(LONG))) + cost <= 15
                }
                Form::ByUser => {
                    sum(&mut outer().filter(of_user).filter(within(WINDOW))) + cost <= 20
                }
                _ => true,
            };
        let allowed = first && second;
        self.calls += 1;
        if allowed || second && self.is(CallDefect::ChargesTheSecondForDenials) {
            let nothing = self.form == Form::Reserved && self.is(CallDefect::ReservesNothing);
            self.entries.push(Entry {
                call: self.calls,
                key: key.to_owned(),
                user: user.cloned(),
                node,
                begun: now,
                ended: None,
                cost: if nothing { 0 } else { cost },
                kept: false,
                denied: !allowed,
            });
        }
        (self.calls, allowed)
    }

    fn end(&mut self, call: u64, how: Call) {
        use CallDefect::*;
        let now = self.origin.elapsed();
        let late = Duration::from_millis(self.noise.below(SETTLES));
        let (form, defect) = (self.form, self.defect);
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.call == call) else {
            return;
        };
        entry.ended = Some(now + late);
        let used = u64::from(how.used);
        match (form, how.end, defect) {
            (_, CallEnd::Failed, Some(KeepsFailures))
            | (_, CallEnd::Left, Some(KeepsTheGone))
            | (Form::InFlight, CallEnd::Done, Some(KeepsTheServed)) => entry.kept = true,
            (Form::After, _, Some(NeverSettles)) => entry.cost = 0,
            (Form::After, _, Some(SettlesTwice)) => entry.cost = 2 * used,
            (Form::Reserved, _, Some(ReservesNothing)) => entry.cost = 0,
            (Form::After | Form::Reserved, ..) => entry.cost = used,
            _ => {}
        }
        if form == Form::After {
            entry.begun = now + late;
        }
    }
}

/// A limiter of calls as a target.
struct CallTarget {
    nodes: Vec<NodeId>,
    state: Arc<Mutex<State>>,
}

impl CallTarget {
    fn new(form: Form, defect: Option<CallDefect>, network: Network, seed: u64) -> Self {
        let noise = Noise(0x9E37_79B9_7F4A_7C15 ^ (seed + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
        let state = State {
            form,
            defect,
            entries: Vec::new(),
            noise,
            network,
            origin: Instant::now(),
            calls: 0,
        };
        Self {
            nodes: (1..=NODES)
                .map(|n| NodeId::new(format!("node-{n}")))
                .collect(),
            state: Arc::new(Mutex::new(state)),
        }
    }
}

impl Target for CallTarget {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        let connection = CallLine {
            node,
            state: Arc::clone(&self.state),
        };
        async move { Ok(Box::new(connection) as Box<dyn Connection>) }.boxed()
    }

    fn describe(&self) -> String {
        "a limiter of calls in this process".into()
    }

    fn has_calls(&self) -> bool {
        true
    }
}

struct CallLine {
    node: usize,
    state: Arc<Mutex<State>>,
}

impl CallLine {
    /// The way of a message, which may be its end.
    async fn travel(&self) {
        let wait = {
            let state = &mut *self.state.lock().unwrap();
            let Network { delay, lost } = state.network;
            match lost > 0 && state.noise.below(lost) == 0 {
                true => Duration::from_secs(3600),
                false => Duration::from_millis(state.noise.below(delay + 1)),
            }
        };
        sleep(wait).await;
    }

    async fn message<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.travel().await;
        let done = act(&mut self.state.lock().unwrap());
        self.travel().await;
        done
    }
}

impl Connection for CallLine {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        let unknown = || CheckAnswer::plain(Outcome::Unknown);
        async move {
            let decided = self.message(|state| state.decide(self.node, check));
            let (id, allowed) = match timeout(check.deadline, decided).await {
                Ok(decided) => decided,
                Err(_) => return unknown(),
            };
            let call = match (allowed, check.call) {
                (false, _) => return CheckAnswer::plain(Outcome::Denied),
                (true, None) => return CheckAnswer::plain(Outcome::Allowed),
                (true, Some(call)) => call,
            };
            sleep(call.lasts).await;
            let used = Some(call.used);
            let end = self.message(|state| state.end(id, call));
            if call.end == CallEnd::Left {
                // Nobody waits for it.
                let (state, lasts) = (Arc::clone(&self.state), call);
                state.lock().unwrap().end(id, lasts);
                return CheckAnswer { used, ..unknown() };
            }
            match timeout(check.deadline, end).await {
                Ok(()) => CheckAnswer {
                    used,
                    held: call.lasts,
                    ..CheckAnswer::plain(Outcome::Allowed)
                },
                Err(_) => unknown(),
            }
        }
        .boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        None
    }
}

fn of(form: Form) -> PlanSettings {
    PlanSettings {
        promise: form.promise(),
        has_calls: true,
        has_cost: false,
        forges: false,
        ..settings(10, WINDOW, ContractKind::Sliding)
    }
}

fn findings(verdict: &RunVerdict) -> BTreeSet<(Option<Phase>, FindingKind)> {
    let judged = verdict.judged.iter();
    let found = judged.flat_map(|one| one.kinds().into_iter().map(|kind| (one.phase, kind)));
    found.collect()
}

#[tokio::test(start_paused = true)]
async fn correct_limiters_of_calls_are_never_accused() {
    for form in [
        Form::InFlight,
        Form::After,
        Form::Reserved,
        Form::TwoWindows,
        Form::ByUser,
    ] {
        let mut passed = 0;
        for seed in 0..200 {
            let mut noise = Noise(0xA076_1D64_78BD_642F ^ (seed + 1));
            let network = Network {
                delay: noise.below(20),
                lost: [0, 50, 200][noise.below(3) as usize],
            };
            let target = CallTarget::new(form, None, network, seed);
            let Ok(verdict) = try_verify(&target, &of(form)).await else {
                assert!(
                    network.lost > 0,
                    "{form:?}, seed {seed}: a probe is answered"
                );
                continue;
            };
            let found = findings(&verdict);
            assert!(
                found.is_empty(),
                "{form:?}, seed {seed}, {network:?}: {found:?}"
            );
            assert_ne!(verdict.status, RunStatus::Violated);
            passed += u32::from(verdict.status == RunStatus::Passed);
        }
        println!("{form:?}: 200 runs, none accused, {passed} passed");
        assert!(passed > 0, "{form:?}: a run without loss passes");
    }
}

#[tokio::test(start_paused = true)]
async fn defects_of_calls_are_accused_by_their_phase() {
    use CallDefect::*;
    for (form, defect, phase, kind) in [
        (Form::InFlight, OneTooMany, Phase::Calls, Excess),
        (Form::InFlight, CountsEachNodeAlone, Phase::Calls, Excess),
        (Form::InFlight, KeepsTheServed, Phase::Calls, Denials),
        (Form::InFlight, KeepsFailures, Phase::Failures, Denials),
        (Form::InFlight, KeepsTheGone, Phase::HangUp, Denials),
        (Form::After, NeverSettles, Phase::Crossing, Excess),
        (Form::After, CountsEachNodeAlone, Phase::Overload, Excess),
        (Form::After, SettlesTwice, Phase::Steady, Denials),
        (Form::After, KeepsFailures, Phase::Failures, Denials),
        (Form::Reserved, ReservesNothing, Phase::Calls, Excess),
        (Form::Reserved, OneTooMany, Phase::TwoKeys, Excess),
        (Form::Reserved, KeepsFailures, Phase::Failures, Denials),
        (Form::Reserved, KeepsTheGone, Phase::HangUp, Denials),
        (Form::TwoWindows, ForgetsTheSecond, Phase::Second, Excess),
        (
            Form::TwoWindows,
            ChargesTheSecondForDenials,
            Phase::Again,
            Denials,
        ),
        (Form::TwoWindows, CountsEachNodeAlone, Phase::Burst, Excess),
        (Form::TwoWindows, OneTooMany, Phase::Burst, Excess),
    ] {
        let network = Network { delay: 1, lost: 0 };
        let target = CallTarget::new(form, Some(defect), network, 1);
        let verdict = try_verify(&target, &of(form)).await.unwrap();
        let found = findings(&verdict);
        assert!(
            found.contains(&(Some(phase), kind)),
            "{form:?}, {defect:?}: {phase} finds {found:?}"
        );
    }
    // Limits that share a counter between keys are judged by all checks at once.
    for defect in [ForgetsTheSecond, CountsTheUserByKey] {
        let network = Network { delay: 1, lost: 0 };
        let target = CallTarget::new(Form::ByUser, Some(defect), network, 1);
        let verdict = try_verify(&target, &of(Form::ByUser)).await.unwrap();
        assert_eq!(
            findings(&verdict),
            BTreeSet::from([(None, Excess)]),
            "{defect:?}"
        );
    }
}
