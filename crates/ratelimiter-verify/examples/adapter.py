"""Adapts a limiter library to `ratelimiter-verify exec`: a line of JSON in, a line of JSON out.

The library here counts in a Redis over a plain socket, ten per window. MODE is `racy` (GET, then INCR) or `correct` (one script).
Usage: adapter.py HOST PORT MODE LIMIT WINDOW_MS [PAUSE_MS between GET and INCR]
"""
import json, socket, sys, time

host, port, mode, limit, window = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
store = socket.create_connection((host, port)).makefile("rwb", buffering=0)
SCRIPT = """local n = redis.call('INCRBY', KEYS[1], ARGV[1])
if n == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
if n <= tonumber(ARGV[2]) then return 1 end
redis.call('DECRBY', KEYS[1], ARGV[1]) return 0"""


def call(*words):
    words = [str(w).encode() for w in words]
    store.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
    line = store.readline()
    if line[:1] == b"$":
        return None if line[1:3] == b"-1" else store.read(int(line[1:]) + 2)[:-2]
    return line[1:-2]


for line in sys.stdin:
    check = json.loads(line)
    if mode == "racy":
        allowed = int(call("GET", check["key"]) or 0) + check["cost"] <= limit
        if allowed:
            time.sleep(float(sys.argv[6]) / 1000 if sys.argv[6:] else 0)
            call("INCRBY", check["key"], check["cost"])
            call("PEXPIRE", check["key"], window)
    else:
        allowed = call("EVAL", SCRIPT, 1, check["key"], check["cost"], limit, window) == b"1"
    print(json.dumps({"id": check["id"], "allowed": allowed}), flush=True)
