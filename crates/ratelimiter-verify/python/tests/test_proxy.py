"""The fixture ``resp_proxy`` in front of a real store."""

import os
import shutil
import socket
import subprocess
import time

import pytest
import redis

from ratelimiter_verify import Violated, verify

RACY_THEN_RIGHT = """
local n = redis.call('INCRBY', KEYS[1], ARGV[1])
if n == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
if n <= tonumber(ARGV[2]) then return 1 end
redis.call('DECRBY', KEYS[1], ARGV[1])
return 0
"""


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    program = os.environ.get("RATELIMITER_STORE_BIN") or next(
        filter(None, map(shutil.which, ["valkey-server", "redis-server"]))
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path_factory.mktemp("store"))]
    process = subprocess.Popen(
        [program, "--port", str(port), *options], stdout=subprocess.DEVNULL
    )
    client = redis.Redis(port=port)
    deadline = time.monotonic() + 20
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "the store does not answer"
            time.sleep(0.02)
    yield port
    process.kill()
    process.wait()


def test_racy_limiter_of_the_readme_is_accused(store):
    client = redis.Redis(port=store)

    def racy(key):
        if int(client.get(key) or 0) >= 10:
            return False
        client.incr(key)
        client.expire(key, 60)
        return True

    with pytest.raises(Violated, match="admissions within"):
        verify(racy, limit="10/1m")


def test_twin_with_one_script_passes(store):
    right = redis.Redis(port=store).register_script(RACY_THEN_RIGHT)
    verdict = verify(lambda key, cost: right([key], [cost, 10, 60_000]), limit="10/1m")
    assert verdict.status == "passed"


def test_lost_reply_is_counted_twice(store, resp_proxy):
    proxy = resp_proxy(f"redis://127.0.0.1:{store}")
    client = redis.Redis(port=proxy.port, socket_timeout=0.5)
    direct = redis.Redis(port=store)
    with proxy.rule("command=INCRBY first=1 do=swallow-reply") as lost:
        try:
            client.incr("requests")
        except redis.TimeoutError:
            client.incr("requests")
        assert lost.wait_effects() == 1
    assert (lost.effects, lost.fitted) == (1, 2)
    assert direct.get("requests") == b"2"
    assert proxy.commands()["INCRBY"] == 2


def test_rule_without_effect_names_the_commands_that_came(store, resp_proxy):
    proxy = resp_proxy(f"redis://127.0.0.1:{store}")
    client = redis.Redis(port=proxy.port)
    with proxy.rule("command=INCR do=swallow-reply") as lost:
        client.incr("others")
        with pytest.raises(ValueError, match="INCRBY"):
            lost.wait_effects(timeout=0.1)
    assert lost.effects == 0


def test_unreadable_rule_is_refused_with_its_reason(store, resp_proxy):
    proxy = resp_proxy(f"redis://127.0.0.1:{store}")
    with pytest.raises(ValueError, match="swallow"):
        with proxy.rule("command=INCR do=swalow-reply"):
            pass
