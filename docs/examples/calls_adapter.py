"""Adapts limiters of calls to `ratelimiter-verify exec`: places in flight, costs known after the call, limits by label.

    ratelimiter-verify exec --command 'python3 calls_adapter.py calls.db in-flight 5' --limit '5 in-flight returns=100ms lease=1s'
    ratelimiter-verify exec --command 'python3 calls_adapter.py calls.db after 10' --limit '10/2s charge=after settles=100ms lease=1s'
    ratelimiter-verify exec --command 'python3 calls_adapter.py calls.db user 5 12' --limit 5/2s --limit '12/2s by=user'

The processes share one SQLite file. A check may be followed by the end of its call, `{"id":1,"end":"done","used":3}`,
which is acknowledged by a line with its id. A defect after the numbers is for tests.
"""
import json, os, sqlite3, sys, time

WINDOW, LEASE = 2.0, 1.0
file, form, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
of_user = int(sys.argv[4]) if form == "user" else 0
defect = sys.argv[5 if form == "user" else 4] if len(sys.argv) > (5 if form == "user" else 4) else ""
db = sqlite3.connect(file, timeout=20, isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=OFF")
db.execute("CREATE TABLE IF NOT EXISTS calls (id TEXT PRIMARY KEY, key TEXT, user TEXT, cost INTEGER, at REAL)")


def total(condition, *values):
    return db.execute(f"SELECT COALESCE(SUM(cost), 0) FROM calls WHERE {condition}", values).fetchone()[0]


def decide(check, call, now):
    key, user, cost = check["key"], check.get("labels", {}).get("user"), check["cost"]
    if form == "in-flight":
        # A holder that gives nothing back loses its place after the lease.
        since = 0 if defect == "no-lease" else now - LEASE
        allowed = total("key = ? AND at > ?", key, since) + cost <= limit + (defect == "one-more")
    elif form == "after":
        allowed = total("key = ? AND at > ?", key, now - WINDOW) < limit
        cost = 0
    else:
        allowed = total("key = ? AND at > ?", key, now - WINDOW) + cost <= limit
        if defect != "no-user":
            allowed = allowed and total("user = ? AND at > ?", user, now - WINDOW) + cost <= of_user
    if allowed:
        db.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?)", (call, key, user, cost, now))
    return allowed


def end(message, call, now):
    if form == "in-flight" and message["end"] == "done":
        db.execute("DELETE FROM calls WHERE id = ?", (call,))
    elif form == "in-flight" and message["end"] == "failed" and defect != "keeps-failures":
        db.execute("DELETE FROM calls WHERE id = ?", (call,))
    elif form == "after" and defect != "never-settles":
        db.execute("UPDATE calls SET cost = ?, at = ? WHERE id = ?", (message["used"], now, call))


for line in sys.stdin:
    message = json.loads(line)
    call, answer = f"{os.getpid()}-{message['id']}", {"id": message["id"]}
    db.execute("BEGIN IMMEDIATE")
    if "end" in message:
        end(message, call, time.time())
    else:
        answer["allowed"] = decide(message, call, time.time())
    db.execute("COMMIT")
    print(json.dumps(answer), flush=True)
