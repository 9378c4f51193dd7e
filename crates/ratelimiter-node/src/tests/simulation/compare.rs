//! The simulated store beside a real one: replies and state are the same.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use ratelimiter_cluster::StoreSearch;
use ratelimiter_store::Link;
use redis::aio::ConnectionLike as _;
use redis::{Script, Value};
use tempfile::TempDir;
use tokio::time::Instant;

use super::MODES;
use super::fault::FaultKind;
use super::plan::RunPlan;
use super::store::{MemoryStore, Reply, ScriptEngine, Text, normal};
use super::world::World;

const DEADLINE: Duration = Duration::from_secs(20);
/// Time between two looks.
const POLL: Duration = Duration::from_millis(10);
const WALL_US: u64 = 1_790_000_000_000_000;
/// A script that asks for the time is given it, as its last argument.
const CLOCK: &str = "redis.call('TIME')";
/// Likewise the process.
const PROCESS: &str = "redis.call('INFO', 'server')";
const GIVEN: &str = "local GIVEN = tonumber(ARGV[#ARGV]); ARGV[#ARGV] = nil; \
    GIVEN = {string.format('%.0f', math.floor(GIVEN / 1000000)), tostring(GIVEN % 1000000)}\n";

/// A real store, which ends with the value.
struct RealStore {
    link: Link,
    process: Child,
    _directory: TempDir,
}

impl Drop for RealStore {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl RealStore {
    async fn start() -> Self {
        let binary = StoreSearch::from_env().find(&|_| ()).unwrap();
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join("store");
        let socket = socket.to_str().unwrap();
        let process = Command::new(binary.path())
            .args(["--port", "0", "--save", "", "--unixsocket", socket])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let link = Link::new(format!("unix://{socket}").parse().unwrap());
        let ping = redis::cmd("PING");
        let until = Instant::now() + DEADLINE;
        while link.query::<Value>(&ping, DEADLINE).await.is_err() {
            assert!(Instant::now() < until, "the store answers in time");
            tokio::time::sleep(POLL).await;
        }
        Self {
            link,
            process,
            _directory: directory,
        }
    }

    /// The replies to some requests.
    async fn answer(&self, requests: &[Vec<Text>]) -> Vec<Reply> {
        let mut pipeline = redis::pipe();
        for request in requests {
            let [name, args @ ..] = request.as_slice() else {
                unreachable!("a request has a name")
            };
            pipeline.cmd(std::str::from_utf8(name).unwrap());
            for arg in args {
                pipeline.arg(arg);
            }
        }
        let count = requests.len();
        let run = async |mut connection: ratelimiter_store::StoreHandle| {
            connection.req_packed_commands(&pipeline, 0, count).await
        };
        let values = self.link.at("").run(DEADLINE, run).await.unwrap();
        values.into_iter().map(reply).collect()
    }
}

fn reply(value: Value) -> Reply {
    match value {
        Value::Nil => Reply::Nil,
        Value::Int(number) => Reply::Whole(number),
        Value::BulkString(text) => Reply::Bulk(text),
        Value::Okay => Reply::ok(),
        Value::SimpleString(text) => Reply::Status(text),
        Value::Array(values) => Reply::List(values.into_iter().map(reply).collect()),
        Value::ServerError(error) => Reply::Error(error.code().to_owned()),
        other => panic!("{other:?} is no reply of RESP2"),
    }
}

/// A reply without what may differ: the rest of an error beyond its code, the order of members in
/// JSON.
fn essence(reply: Reply) -> Reply {
    match reply {
        Reply::Error(text) => Reply::Error(text.split(' ').next().unwrap_or_default().to_owned()),
        Reply::Bulk(text) => Reply::bulk(normal(&text).map_or(text, String::into_bytes)),
        Reply::List(replies) => Reply::List(replies.into_iter().map(essence).collect()),
        other => other,
    }
}

/// The fields of a hash have no order.
fn sorted(request: &[Text], reply: Reply) -> Reply {
    match essence(reply) {
        Reply::List(replies) if request[0] == b"HGETALL" => {
            let mut pairs: Vec<_> = replies.chunks(2).map(|pair| format!("{pair:?}")).collect();
            pairs.sort();
            Reply::List(pairs.into_iter().map(Reply::bulk).collect())
        }
        other => other,
    }
}

/// Requests that read all of a store's entries.
fn reads(store: &mut MemoryStore, names: &[Text]) -> Vec<Vec<Text>> {
    let read = |name: &Text| {
        let kind = store.answer(&[b"TYPE".to_vec(), name.clone()]);
        let words: &[&[u8]] = match kind {
            Reply::Status(kind) if kind == "hash" => &[b"HGETALL", name],
            Reply::Status(kind) if kind == "zset" => &[b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"],
            _ => &[b"GET", name],
        };
        words.iter().map(|word| word.to_vec()).collect()
    };
    names.iter().map(read).collect()
}

async fn same(memory: &mut MemoryStore, real: &RealStore, requests: &[Vec<Text>]) {
    let answers = real.answer(requests).await;
    for (place, (request, real)) in requests.iter().zip(answers).enumerate() {
        let simulated = sorted(request, memory.answer(request));
        let shown = || {
            let before = &requests[place.saturating_sub(8)..=place];
            let text = |request: &Vec<Text>| {
                let words: Vec<_> = request.iter().map(|w| String::from_utf8_lossy(w)).collect();
                words.join(" ")
            };
            before.iter().map(text).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(simulated, sorted(request, real), "{}", shown());
    }
}

/// A request of a kind that nodes and scripts make, on few names and members, of which some have
/// another type.
fn random_request(rng: &mut Rng) -> Vec<Text> {
    let name = |rng: &mut Rng| format!("{{compared}}:{}", ["h", "z", "t"][rng.usize(0..3)]);
    let member = |rng: &mut Rng| ["a", "b", "c", "d", "e:1", "e:10"][rng.usize(0..6)].to_owned();
    let score = |rng: &mut Rng| match rng.u8(0..4) {
        0 => (1_790_000_000_000_000_u64 + rng.u64(0..3)).to_string(),
        1 => rng.i64(-3..9).to_string(),
        2 => "1.5".to_owned(),
        _ => ["+inf", "-inf", "x", ""][rng.usize(0..4)].to_owned(),
    };
    let bound = |rng: &mut Rng| match rng.u8(0..4) {
        0 => "-inf".to_owned(),
        1 => "+inf".to_owned(),
        2 => format!("({}", rng.i64(-3..9)),
        _ => rng.i64(-3..9).to_string(),
    };
    let place = |rng: &mut Rng| rng.i64(-4..5).to_string();
    let words: Vec<String> = match rng.u8(0..31) {
        0 => vec!["GET".into(), name(rng)],
        1 => vec!["SET".into(), name(rng), score(rng)],
        2 => vec!["DEL".into(), name(rng), name(rng)],
        3 => vec!["UNLINK".into(), name(rng)],
        4 => vec!["EXISTS".into(), name(rng), name(rng)],
        5 => vec!["TYPE".into(), name(rng)],
        6..=7 => vec![
            "HSET".into(),
            name(rng),
            member(rng),
            score(rng),
            member(rng),
            score(rng),
        ],
        8 => vec!["HGET".into(), name(rng), member(rng)],
        9 => vec!["HMGET".into(), name(rng), member(rng), member(rng)],
        10 => vec!["HGETALL".into(), name(rng)],
        11 => vec!["HDEL".into(), name(rng), member(rng), member(rng)],
        12 => vec!["HEXISTS".into(), name(rng), member(rng)],
        13..=16 => vec![
            "ZADD".into(),
            name(rng),
            score(rng),
            member(rng),
            score(rng),
            member(rng),
        ],
        17 => vec!["ZREM".into(), name(rng), member(rng), member(rng)],
        18 => vec!["ZCARD".into(), name(rng)],
        19 => vec!["ZSCORE".into(), name(rng), member(rng)],
        20 => vec!["ZMSCORE".into(), name(rng), member(rng), member(rng)],
        21 => vec!["ZCOUNT".into(), name(rng), bound(rng), bound(rng)],
        22 => vec![
            "ZRANGE".into(),
            name(rng),
            place(rng),
            place(rng),
            "WITHSCORES".into(),
        ],
        23 => vec![
            "ZRANGEBYSCORE".into(),
            name(rng),
            bound(rng),
            bound(rng),
            "WITHSCORES".into(),
            "LIMIT".into(),
            rng.u8(0..3).to_string(),
            place(rng),
        ],
        24 => vec!["ZREMRANGEBYRANK".into(), name(rng), place(rng), place(rng)],
        25 => vec!["ZREMRANGEBYSCORE".into(), name(rng), bound(rng), bound(rng)],
        26 => vec!["ZPOPMIN".into(), name(rng)],
        27 => vec![
            "PEXPIRE".into(),
            name(rng),
            ["-1", "0", "900000", "x"][rng.usize(0..4)].into(),
        ],
        28 => vec!["HLEN".into(), name(rng)],
        29 => vec!["RENAME".into(), name(rng), name(rng)],
        _ => vec![
            "EVAL".into(),
            random_script(rng),
            "1".into(),
            name(rng),
            member(rng),
            score(rng),
        ],
    };
    words.into_iter().map(String::into_bytes).collect()
}

/// A script about conversions, errors and JSON.
fn random_script(rng: &mut Rng) -> String {
    const SCRIPTS: [&str; 16] = [
        "return 3.99",
        "return -3.99",
        "return {1, 2.5, 'x', false, true, nil, 7}",
        "return {1, {2, {3, 'y'}}, {}}",
        "return redis.call('HGET', KEYS[1], ARGV[1])",
        "return redis.pcall('ZADD', KEYS[1], ARGV[2], ARGV[1])",
        "return redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])",
        "local r = redis.pcall('GET', KEYS[1]); if type(r) == 'table' then return r.err end \
            return r or 'none'",
        "local ok, r = pcall(redis.call, 'GET', KEYS[1]); return ok and 1 or 2",
        "return {redis.status_reply('FINE'), 1}",
        "return redis.error_reply('ODD of us')",
        "local ok, v = pcall(cjson.decode, ARGV[2]); return ok and type(v) or 'unreadable'",
        "return cjson.encode({a = 1790000000000000, b = 2.5, c = 'x/y', d = false})",
        "return cjson.encode(cjson.decode('{\"k\":[1,2,{\"z\":null}],\"n\":-0.25,\"e\":1e3}'))",
        "return nothing",
        "return redis.call('ZRANGE', KEYS[1], 0, 1.0, 'WITHSCORES')",
    ];
    SCRIPTS[rng.usize(0..SCRIPTS.len())].to_owned()
}

#[tokio::test]
async fn commands_answer_as_a_real_store() {
    let real = RealStore::start().await;
    let mut memory = MemoryStore::new(Rc::new(ScriptEngine::new()), WALL_US);
    let mut rng = Rng::with_seed(1);
    let names = ["h", "z", "t"].map(|name| format!("{{compared}}:{name}").into_bytes());
    for _ in 0..300 {
        let requests: Vec<_> = (0..40).map(|_| random_request(&mut rng)).collect();
        same(&mut memory, &real, &requests).await;
        let state = reads(&mut memory, &names);
        same(&mut memory, &real, &state).await;
    }
}

/// The traffic of simulated nodes, played to a real store: every script with the time that it had.
#[test]
fn scripts_answer_as_in_a_real_store() {
    let engine = Rc::new(ScriptEngine::new());
    // Faults of the network and of nodes alone: the store's are none of its commands.
    let kinds = [
        FaultKind::Delay,
        FaultKind::Cut,
        FaultKind::Kill,
        FaultKind::LimitChanged,
        FaultKind::CounterReset,
        FaultKind::LimitDeleted,
    ];
    let mut scripts = BTreeMap::new();
    let mut runs = Vec::new();
    for seed in 0..6 {
        let plan = RunPlan::of_seed(seed, &kinds, &MODES);
        let mut world = World::new(&plan, &engine);
        world.traffic = Some(Vec::new());
        let (records, traffic) = world.run();
        assert!(records.allowed() > 0, "seed {seed} exercises the store");
        let mut requests = vec![vec![b"FLUSHDB".to_vec()]];
        for (wall_us, request) in traffic.unwrap() {
            requests.extend(given(&request, wall_us, &mut scripts));
        }
        runs.push(requests);
    }
    assert!(scripts.len() > 5, "{} scripts ran", scripts.len());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let real = RealStore::start().await;
        for requests in runs {
            let mut memory = MemoryStore::new(Rc::clone(&engine), WALL_US);
            same(&mut memory, &real, &requests).await;
            let names = memory.database.names();
            let state = reads(&mut memory, &names);
            same(&mut memory, &real, &state).await;
        }
    });
}

/// A request with its time given to it; none where the reply is about the process.
fn given(
    request: &[Text],
    wall_us: u64,
    scripts: &mut BTreeMap<Text, String>,
) -> Option<Vec<Text>> {
    match request {
        [name, ..] if [&b"TIME"[..], b"INFO", b"CLIENT", b"CONFIG"].contains(&name.as_slice()) => {
            None
        }
        [name, _, script] if name == b"SCRIPT" => {
            let script = String::from_utf8(script.clone()).unwrap();
            let process = format!("'run_id:{:040x}'", 1);
            let hash = Script::new(&script).get_hash().as_bytes().to_vec();
            scripts.insert(
                hash,
                format!(
                    "{GIVEN}{}",
                    script.replace(CLOCK, "GIVEN").replace(PROCESS, &process)
                ),
            );
            None
        }
        [name, hash, rest @ ..] if name == b"EVALSHA" => {
            let script = scripts.get(hash)?;
            let mut request = vec![b"EVAL".to_vec(), script.clone().into_bytes()];
            request.extend(rest.to_vec());
            request.push(wall_us.to_string().into_bytes());
            Some(request)
        }
        // What the real store would expire by its own clock stays.
        request => Some(request.to_vec()),
    }
}
