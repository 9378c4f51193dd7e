"""A library behind lines of JSON: a window that begins with a key's first check, in memory."""
import json, sys, time

windows = {}
for line in sys.stdin:
    check = json.loads(line)
    began, count = windows.get(check["key"], (0, 0))
    if time.monotonic() - began >= 2:
        began, count = time.monotonic(), 0
    allowed = count < 10
    windows[check["key"]] = (began, count + allowed)
    print(json.dumps({"id": check["id"], "allowed": allowed}), flush=True)
