"""Verifies `limits` (https://pypi.org/project/limits) as limiters of tokens use it, where a call's cost is known after it:

    pip install limits redis
    ratelimiter-verify exec --command 'python3 settled_adapter.py redis://localhost:6379 fixed-window 10 2' \\
        --limit '10/2s fixed charge=after settles=50ms lease=1s'

Usage: settled_adapter.py STORE fixed-window|moving-window LIMIT SECONDS
A check only looks (`test`), and the end of its call charges what was used (`hit`). `moving-window` charges nothing for
the call that crosses the limit, so that it never denies one: the phase `crossing` shows it.
"""
import json, sys

from limits import RateLimitItemPerSecond
from limits.storage import storage_from_string
from limits.strategies import STRATEGIES

store, strategy, limit, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
limiter = STRATEGIES[strategy](storage_from_string(store))
item = RateLimitItemPerSecond(limit, seconds)
keys = {}

for line in sys.stdin:
    message = json.loads(line)
    answer = {"id": message["id"]}
    if "end" in message:
        key = keys.pop(message["id"])
        if message["used"]:
            limiter.hit(item, key, cost=message["used"])
    else:
        keys[message["id"]] = message["key"]
        answer["allowed"] = limiter.test(item, message["key"])
    print(json.dumps(answer), flush=True)
