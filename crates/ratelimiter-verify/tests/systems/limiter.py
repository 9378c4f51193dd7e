"""A limiter over Redis with one defect, or none: limiter.py DEFECT NODE PORT STORE_PORT.

Without a defect it is exact under every fault of one store: each node remembers its admissions, and
where the store has lost one, the key is refused for a window.
"""
import hashlib, os, socket, sys, threading, time, urllib.error, urllib.request, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

DEFECT, NODE, PORT, STORE = sys.argv[1], *map(int, sys.argv[2:5])
LIMIT, WINDOW = 10, float(os.environ["WINDOW"])
# ARGV: limit, window in ms, name of this check, whether this node has met the store before, names of
# its earlier admissions.
SCRIPT = """
local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)
local log, lost = KEYS[1], KEYS[1] .. ':lost'
redis.call('ZREMRANGEBYSCORE', log, 0, now - ARGV[2])
if redis.call('SETNX', 'marker', 1) == 1 and ARGV[4] == '1' then redis.call('SET', 'all', 1, 'PX', ARGV[2]) end
for i = 5, #ARGV do
  if not redis.call('ZSCORE', log, ARGV[i]) then redis.call('SET', lost, 1, 'PX', ARGV[2]) end
end
if redis.call('EXISTS', lost, 'all') > 0 then return -1 end
if redis.call('ZSCORE', log, ARGV[3]) then return 1 end
if redis.call('ZCARD', log) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', log, now, ARGV[3]) redis.call('PEXPIRE', log, ARGV[2] * 2) return 1"""

lock, admitted, counts, connection, met = threading.Lock(), {}, {}, [], []


def connect():
    patient = DEFECT == "waits-for-ever"
    return socket.create_connection(("127.0.0.1", STORE), timeout=60 if patient else 0.25)


def exchange(store, words):
    words = [str(w).encode() for w in words]
    store.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
    line = store.makefile("rb").readline()
    if line.startswith(b"-"):
        raise ValueError(line.decode())
    return int(line.removeprefix(b":") or b"x")


def ask(*words):
    if DEFECT == "never-reconnects":
        with lock:
            connection or connection.append(connect())
            return exchange(connection[0], words)
    with connect() as store:
        return exchange(store, words)


def alone(key):
    """Counts in this node alone, half of the limit."""
    with lock:
        log = [t for t in counts.get(key, []) if t > time.monotonic() - WINDOW]
        allowed = len(log) < LIMIT // 2
        counts[key] = log + [time.monotonic()] * allowed
        return allowed


def by_window(key):
    count = ask("INCR", key)
    if count == 1:
        ask("PEXPIRE", key, int(WINDOW * 1000))
    return count <= LIMIT


def two_steps(key):
    count = ask("STRLEN", key)
    time.sleep(0.05)
    if count >= LIMIT:
        return False
    ask("APPEND", key, "x")
    return True


def exact(key):
    name = uuid.uuid4().hex
    since = time.monotonic() - WINDOW * 0.9
    with lock:
        mine = [n for n, at in admitted.get(key, []) if at > since]
    earlier = [] if DEFECT == "trusts-the-store" else mine
    words = [1, key, LIMIT, int(WINDOW * 1000)]
    seen = int(bool(met) and DEFECT != "trusts-the-store")
    try:
        answer = ask("EVAL", SCRIPT, *words, name, seen, *earlier)
    except OSError:
        if DEFECT == "retries-as-new":
            name = uuid.uuid4().hex
        answer = ask("EVAL", SCRIPT, *words, name, seen, *earlier)
    met.append(1)
    if answer == -1:
        raise ValueError("the store has lost admissions")
    if answer:
        with lock:
            recent = [(n, at) for n, at in admitted.get(key, []) if at > since]
            admitted[key] = recent + [(name, time.monotonic())]
    return bool(answer)


def decide(key):
    if DEFECT == "counts-alone":
        return alone(key)
    if DEFECT == "two-steps":
        return two_steps(key)
    if DEFECT == "window-without-end":
        return by_window(key)
    if DEFECT == "one-at-a-time":
        with lock:
            time.sleep(0.08)
        return exact(key)
    if DEFECT == "asks-its-peer" and NODE == 2:
        url = f"http://127.0.0.1:{open('peer').read()}/?key={key}"
        try:
            return urllib.request.urlopen(url).status == 200
        except urllib.error.HTTPError as error:
            return error.code == 200
    if DEFECT == "denies-without-script":
        return by_digest(key)
    return exact(key)


def by_digest(key):
    words = [1, key, LIMIT, int(WINDOW * 1000), uuid.uuid4().hex, 0]
    try:
        return ask("EVALSHA", hashlib.sha1(SCRIPT.encode()).hexdigest(), *words) == 1
    except ValueError as error:
        if "NOSCRIPT" in str(error) and not counts:
            counts["loaded"] = True
            return exact(key)
        if "NOSCRIPT" in str(error):
            return False
        raise


if NODE == 1:
    with open("peer", "w") as peer:
        peer.write(str(PORT))


class Limiter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        key = parse_qs(urlparse(self.path).query)["key"][0]
        try:
            status = 200 if decide(key) else 429
        except (OSError, ValueError) as error:
            opens = {"opens-at-errors": ValueError, "opens-at-silence": OSError}.get(DEFECT)
            status = 200 if opens and isinstance(error, opens) else 503
            if DEFECT == "sleeps-at-loading" and "LOADING" in str(error):
                time.sleep(5)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", PORT), Limiter).serve_forever()
