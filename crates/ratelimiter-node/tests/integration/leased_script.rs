//! The store's script of leased counting is a faithful transcription of the ledger that the model
//! checks.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use ratelimiter_cluster::ClusterPlan;
use ratelimiter_lease::{
    GrantAnswer, GrantLedger, LeaseTerms, LedgerRequest, RECHECK, StoreTime, WaitingChecks,
};
use ratelimiter_store::Link;
use redis::{Script, ScriptInvocation, Value, cmd};

const EXCHANGE: &str = concat!(
    include_str!("../../src/clock.lua"),
    include_str!("../../src/limiter/current.lua"),
    include_str!("../../src/limiter/leased/begin.lua"),
    include_str!("../../src/limiter/leased/ledger.lua"),
    include_str!("../../src/limiter/leased/exchange.lua")
);
const RECALL: &str = concat!(
    include_str!("../../src/clock.lua"),
    include_str!("../../src/limiter/current.lua"),
    include_str!("../../src/limiter/leased/begin.lua"),
    include_str!("../../src/limiter/leased/ledger.lua"),
    include_str!("../../src/limiter/leased/recall.lua")
);
const KEYS: [&str; 9] = [
    "{k}:book",
    "{k}:ends",
    "{k}:past",
    "{k}:outside",
    "{clock}",
    "version",
    "limits",
    "changed",
    "deleted",
];

const LIMIT: u32 = 40;
const NODES: u32 = 3;
const WINDOW: Duration = Duration::from_micros(100_000);
const LEASE: Duration = Duration::from_micros(40_000);
const RETENTION: Duration = Duration::from_micros(20_000);
const BEGIN: u64 = 1_790_000_000_000_000;
const DEADLINE: Duration = Duration::from_secs(20);

/// What reaches the store next, and by how much its clock moved since the last, microseconds.
#[derive(Clone, Debug)]
struct Step {
    moved: i64,
    node: u8,
    command: Command,
}

#[derive(Clone, Debug)]
enum Command {
    Exchange {
        settlements: Vec<(u64, u32)>,
        newest: Option<u64>,
        request: Option<(u64, WaitingChecks, u32)>,
        coming: u64,
    },
    GrantRecall(Vec<(u64, u32, Option<u64>)>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few names, so that most of them are used again.
    let number = || 0_u64..8;
    let request = (number(), 1_u32..4, 1_u32..5, 0_u32..9, 0_u32..30);
    let exchange = (
        proptest::collection::vec((number(), 0_u32..9), 0..3),
        proptest::option::weighted(0.1, number()),
        proptest::option::weighted(0.8, request),
        prop_oneof![3 => Just(0_u64), 1 => 0_u64..9],
    )
        .prop_map(|(settlements, newest, request, coming)| Command::Exchange {
            settlements,
            newest,
            request: request.map(|(number, need, alike, more, ahead)| {
                let waiting = WaitingChecks {
                    need,
                    alike,
                    queued: need * alike + more,
                };
                (number, waiting, ahead)
            }),
            coming,
        });
    let recall = proptest::collection::vec(
        (number(), 0_u32..9, proptest::option::of(0_u64..120_000)),
        1..3,
    )
    .prop_map(Command::GrantRecall);
    let command = prop_oneof![8 => exchange, 1 => recall];
    let moved = prop_oneof![6 => 0_i64..30_000, 1 => -90_000_i64..0, 1 => 0_i64..300_000];
    let step = (moved, 0_u8..3, command).prop_map(|(moved, node, command)| Step {
        moved,
        node,
        command,
    });
    proptest::collection::vec(step, 1..60)
}

/// The script with the store's clock as its last argument.
fn with_clock(script: &str) -> Script {
    const CLOCK: &str = "redis.call('TIME')";
    assert_eq!(script.matches(CLOCK).count(), 1);
    let given = "{math.floor(tonumber(ARGV[#ARGV]) / 1000000), tonumber(ARGV[#ARGV]) % 1000000}; \
        ARGV[#ARGV] = nil";
    Script::new(&script.replace(CLOCK, given))
}

struct Scripts {
    exchange: Script,
    recall: Script,
    store: Link,
}

/// The script's answer.
type Reply = (i64, u64, String, u64, String, String, String, u64);
/// The first six fields of the script's answer, as the ledger would give them.
type Fields = (i64, u64, u64, u64, u64, u64);

impl Scripts {
    fn call<'a>(script: &'a Script, node: u8) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        for key in KEYS {
            call.key(key);
        }
        call.arg(LIMIT)
            .arg(micros(WINDOW))
            .arg(micros(LEASE))
            .arg(micros(RETENTION))
            .arg(1);
        call.arg(format!("n{node}:")).arg("k").arg(0).arg("");
        call
    }

    async fn run(&self, clock: u64, step: &Step) -> Option<Fields> {
        let or_nothing = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        match &step.command {
            Command::Exchange {
                settlements,
                newest,
                request,
                coming,
            } => {
                let mut call = Self::call(&self.exchange, step.node);
                call.arg(or_nothing(*newest))
                    .arg(NODES)
                    .arg(micros(RECHECK))
                    .arg(coming);
                match request {
                    Some((
                        number,
                        WaitingChecks {
                            need,
                            alike,
                            queued,
                        },
                        ahead,
                    )) => call.arg(number).arg(need).arg(alike).arg(queued).arg(ahead),
                    None => call.arg("").arg(0).arg(0).arg(0).arg(0),
                };
                for (number, spent) in settlements {
                    call.arg(number).arg(spent);
                }
                call.arg(clock);
                let run = async |mut connection| call.invoke_async(&mut connection).await;
                let (verdict, charge, given, room, hold, frees, _, _): Reply =
                    self.store.at("k").run(DEADLINE, run).await.unwrap();
                let number = |text: String| text.parse().unwrap();
                Some((
                    verdict,
                    charge,
                    number(given),
                    room,
                    number(hold),
                    number(frees),
                ))
            }
            Command::GrantRecall(grants) => {
                let mut call = Self::call(&self.recall, step.node);
                for (number, charge, age) in grants {
                    call.arg(number).arg(charge).arg(or_nothing(*age));
                }
                call.arg(clock);
                let run = async |mut connection| call.invoke_async::<Value>(&mut connection).await;
                self.store.at("k").run(DEADLINE, run).await.unwrap();
                None
            }
        }
    }

    async fn charged(&self) -> u64 {
        let charged: Option<String> = self
            .store
            .query(cmd("HGET").arg(KEYS[0]).arg("#charged"), DEADLINE)
            .await
            .unwrap();
        charged.map_or(0, |text| text.parse().unwrap())
    }
}

fn micros(span: Duration) -> u64 {
    span.as_micros() as u64
}

/// The same step in the ledger.
fn pure(
    ledger: &mut GrantLedger<(u8, u64)>,
    terms: &LeaseTerms,
    clock: u64,
    step: &Step,
    lost: bool,
) -> Option<Fields> {
    let now = ledger.advance(StoreTime::from_micros(clock), terms);
    let id = |number: u64| (step.node, number);
    match &step.command {
        Command::GrantRecall(grants) => {
            for (number, charge, age) in grants {
                ledger.recall(
                    now,
                    terms,
                    &id(*number),
                    *charge,
                    age.map(Duration::from_micros),
                );
            }
            None
        }
        Command::Exchange {
            settlements,
            newest,
            request,
            coming,
        } => {
            for (number, spent) in settlements {
                ledger.settle(now, &id(*number), *spent);
            }
            let Some((number, waiting, ahead)) = *request else {
                return Some((2, 0, 0, 0, 0, 0));
            };
            if newest.is_some_and(|newest| !ledger.holds(&id(newest))) {
                return Some((-2, 0, 0, 0, 0, 0));
            }
            let id = id(number);
            let request = LedgerRequest {
                id,
                waiting,
                ahead,
                nodes: NODES,
                outside: *coming,
            };
            let charged = ledger.charged(now, terms) + coming;
            Some(match ledger.grant(now, terms, request) {
                GrantAnswer::Granted {
                    charge,
                    given,
                    room,
                } => (1, charge.into(), given.micros(), room.into(), 0, 0),
                GrantAnswer::Denied { hold, frees, .. }
                    if lost && now < StoreTime::from_micros(BEGIN) + LEASE + WINDOW =>
                {
                    (-3, 0, 0, 0, micros(hold), micros(frees))
                }
                GrantAnswer::Denied { hold, frees, room } => {
                    (0, 0, 0, room.into(), micros(hold), micros(frees))
                }
                GrantAnswer::Closed => (-1, 0, 0, u64::from(LIMIT).saturating_sub(charged), 0, 0),
            })
        }
    }
}

/// Sets the limit, and begins its ledger, which may be one after a loss.
async fn begin(store: &Link, lost: bool) {
    let entry = format!(
        r#"{{"limit":{LIMIT},"window_sec":{},"epoch":1}}"#,
        WINDOW.as_secs_f64()
    );
    let mut pipeline = redis::pipe();
    pipeline.hset("limits", "k", entry).hset(KEYS[0], "#", 1);
    if lost {
        pipeline.hset(KEYS[0], "#lost", BEGIN);
    }
    pipeline
        .cmd("ZADD")
        .arg(KEYS[1])
        .arg("+inf")
        .arg("#")
        .cmd("ZADD")
        .arg(KEYS[2])
        .arg("+inf")
        .arg("#");
    let _: Value = store.at("k").pipeline(&pipeline, DEADLINE).await.unwrap();
}

#[tokio::test]
async fn the_script_answers_as_the_ledger() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let scripts = Scripts {
        exchange: with_clock(EXCHANGE),
        recall: with_clock(RECALL),
        store: Link::new(cluster.store_url()),
    };
    let terms = LeaseTerms::new(LIMIT, WINDOW, LEASE, 10).unwrap();
    let mut runner = TestRunner::default();
    let mut verdicts = std::collections::BTreeMap::<i64, u32>::new();
    for case in 0..50 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        scripts
            .store
            .query::<Value>(cmd("DEL").arg(&KEYS[..]), DEADLINE)
            .await
            .unwrap();
        let lost = case % 2 == 1;
        begin(&scripts.store, lost).await;
        let mut ledger = if lost {
            GrantLedger::after_loss(StoreTime::from_micros(BEGIN), RETENTION)
        } else {
            GrantLedger::new(RETENTION)
        };
        let mut clock = BEGIN;
        for (i, step) in steps.iter().enumerate() {
            clock = clock.saturating_add_signed(step.moved);
            let expected = pure(&mut ledger, &terms, clock, step, lost);
            let answer = scripts.run(clock, step).await;
            assert_eq!(
                answer,
                expected,
                "case {case}, step {i}: {:#?}",
                &steps[..=i]
            );
            if let Some(answer) = answer {
                *verdicts.entry(answer.0).or_default() += 1;
            }
            let now = ledger.advance(StoreTime::from_micros(clock), &terms);
            let charged = ledger.charged(now, &terms);
            assert_eq!(
                scripts.charged().await,
                charged,
                "case {case}, step {i}: {:#?}",
                &steps[..=i]
            );
        }
    }
    println!("verdicts: {verdicts:?}");
    assert!(
        [2, 1, 0, -1, -2, -3]
            .iter()
            .all(|verdict| verdicts.contains_key(verdict)),
        "{verdicts:?}"
    );
}
