"""Verifies the Python library `limits` (https://pypi.org/project/limits) over a Redis, with one command:

    pip install limits redis
    ratelimiter-verify exec --has-cost --limit 10/2s \\
        --command 'python3 limits_adapter.py redis://localhost:6379 moving-window 10 2'

Usage: limits_adapter.py STORE fixed-window|moving-window|sliding-window-counter LIMIT SECONDS
Reads a line of JSON a check and writes a line of JSON an answer; `ratelimiter-verify exec` starts it three times, as three nodes.
"""
import json, sys

from limits import RateLimitItemPerSecond
from limits.storage import storage_from_string
from limits.strategies import STRATEGIES

store, strategy, limit, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
limiter = STRATEGIES[strategy](storage_from_string(store))
item = RateLimitItemPerSecond(limit, seconds)

for line in sys.stdin:
    check = json.loads(line)
    allowed = limiter.hit(item, check["key"], cost=check["cost"])
    print(json.dumps({"id": check["id"], "allowed": allowed}), flush=True)
