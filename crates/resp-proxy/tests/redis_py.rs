//! redis-py in front of the proxy. Ignored where it cannot be installed.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../../ratelimiter-cluster/tests/support/needs.rs"]
mod needs;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/redis_py.rs"]
mod redis_py;
#[path = "support/store.rs"]
mod store;

use needs::{Missing, trial};
use proxy::proxy_to;
use redis_py::RedisPy;
use store::Store;

const PYTHON: &str = r#"
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
    let python = RedisPy::install()?;
    let store = Store::start();
    let proxy = proxy_to(store.url().parse().unwrap()).await;
    for protocol in ["2", "3"] {
        let output = python.run(PYTHON, &[&proxy.address().port().to_string(), protocol]);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed, "ok\n", "{output:?}");
    }
    let counters = proxy.counters();
    let lost = (counters.unmatched, counters.not_resp);
    assert_eq!(lost, (0, 0), "{counters:?}");
    Ok(())
}

fn main() {
    needs::run(vec![trial(
        "redis_py_passes_in_both_protocols",
        redis_py_passes_in_both_protocols,
    )])
}
