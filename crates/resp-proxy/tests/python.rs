//! Python in front of the proxy and in control of it. Ignored where its packages cannot be
//! installed.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../../ratelimiter-cluster/tests/support/needs.rs"]
mod needs;
#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/python.rs"]
mod python;
#[path = "support/store.rs"]
mod store;

use needs::{Missing, trial};
use program::ControlledProgram;
use proxy::proxy_to;
use python::PythonPackages;
use store::Store;

const CLIENT: &str = r#"
import sys
import redis
client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]), protocol=int(sys.argv[2]))
assert client.set("k", "v")
with client.pipeline(transaction=True) as pipe:
    assert pipe.incr("n").incr("n").get("k").execute()[2] == b"v"
pubsub = client.pubsub()
pubsub.subscribe("c")
while pubsub.get_message(timeout=10)["type"] != "subscribe":
    pass
client.publish("c", "hi")
assert pubsub.get_message(timeout=10)["data"] == b"hi"
assert client.eval("return redis.call('GET', KEYS[1])", 1, "k") == b"v"
print("ok")
"#;

async fn redis_py_passes_in_both_protocols() -> Result<(), Missing> {
    let python = PythonPackages::install()?;
    let store = Store::start();
    let proxy = proxy_to(store.url().parse().unwrap()).await;
    for protocol in ["2", "3"] {
        let port = proxy.address().port().to_string();
        let output = python.run(&["-c", CLIENT, &port, protocol]);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed, "ok\n", "{output:?}");
    }
    let counters = proxy.counters();
    let lost = (counters.unmatched, counters.not_resp);
    assert_eq!(lost, (0, 0), "{counters:?}");
    Ok(())
}

/// The first block of this language in the README.
fn readme_block(language: &str) -> String {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

async fn the_readme_test_counts_twice() -> Result<(), Missing> {
    let python = PythonPackages::install()?;
    let store = Store::start();
    let program = ControlledProgram::start(&store.url());
    let test = readme_block("python")
        .replace("6380", &program.proxy.port().to_string())
        .replace("8474", &program.control.port().to_string());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("test_readme.py");
    std::fs::write(&file, test).unwrap();
    let file = file.to_str().unwrap();
    let output = python.run(&["-m", "pytest", "-q", "-p", "no:cacheprovider", file]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("1 passed"), "{output:?}");
    // It left no fault behind.
    let (_, proxy) = program.request("GET", "/proxies/proxy", "", "");
    assert_eq!(proxy["toxics"], serde_json::json!([]));
    Ok(())
}

const TOXIPROXY: &str = r#"
import sys, time
import redis, requests
from toxiproxy import Toxiproxy
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

control, store = int(sys.argv[1]), sys.argv[2]
server = Toxiproxy()
server.update_api_consumer("127.0.0.1", control)
assert b"version" in server.version()
proxy = server.create(name="redis", upstream=store)
host, port = proxy.listen.split(":")
def client(): return redis.Redis(host=host, port=int(port), socket_timeout=5)
assert client().ping()

proxy.add_toxic(name="slow", type="latency", attributes={"latency": 200, "jitter": 0})
began = time.monotonic()
assert client().ping()
assert time.monotonic() - began >= 0.2
assert proxy.get_toxic("slow").attributes["latency"] == 200
proxy.destroy_toxic("slow")
assert proxy.toxics() == {}

with proxy.down():
    try:
        client().ping()
        raise SystemExit("a proxy that is down took a connection")
    except redis.ConnectionError:
        pass
assert client().ping()

proxy.add_toxic(type="reset_peer", attributes={"timeout": 0})
try:
    client().ping()
    raise SystemExit("no reset")
except redis.ConnectionError:
    pass
proxy.destroy_toxic("reset_peer_downstream")

proxy.add_toxic(name="lost", type="resp",
                attributes={"rule": "command=INCRBY do=reset-after", "for": "60s"})
counting = client()
try:
    counting.incr("k")
    raise SystemExit("the reply came")
except redis.ConnectionError:
    pass
toxic = APIConsumer.get("/proxies/redis/toxics/lost", params={"wait_effects": 1}).json()
assert (toxic["effects"], toxic["fitted"]) == (1, 1), toxic
assert APIConsumer.get("/proxies/redis").json()["seen"]["commands"]["INCRBY"] == 1

for refused in ["bandwidth", "slicer", "limit_data", "slow_close"]:
    try:
        proxy.add_toxic(type=refused)
        raise SystemExit(refused + " was taken")
    except InvalidToxic as error:
        assert refused in str(error) and "Toxiproxy" in str(error), error
try:
    proxy.add_toxic(type="timeout", attributes={"timeout": 0}, toxicity=0.5)
    raise SystemExit("toxicity was taken")
except InvalidToxic:
    pass
try:
    requests.post("http://127.0.0.1:%d/proxies" % control, json={"name": "redis",
                  "upstream": store}).raise_for_status()
    raise SystemExit("a name was taken twice")
except requests.HTTPError as error:
    assert error.response.status_code == 409

server.reset()
assert proxy.toxics() == {}
assert client().get("k") == b"1"
again = server.populate([{"name": "redis", "upstream": store, "listen": proxy.listen}])
assert again == []
server.destroy_all()
assert server.proxies() == {}
print("ok")
"#;

async fn the_client_of_toxiproxy_drives_it() -> Result<(), Missing> {
    let python = PythonPackages::install()?;
    let store = Store::start();
    let program = ControlledProgram::start(&store.url());
    let control = program.control.port().to_string();
    let output = python.run(&["-c", TOXIPROXY, &control, &store.address.to_string()]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed, "ok\n", "{output:?}");
    Ok(())
}

fn main() {
    needs::run(vec![
        trial(
            "redis_py_passes_in_both_protocols",
            redis_py_passes_in_both_protocols,
        ),
        trial("the_readme_test_counts_twice", the_readme_test_counts_twice),
        trial(
            "the_client_of_toxiproxy_drives_it",
            the_client_of_toxiproxy_drives_it,
        ),
    ])
}
