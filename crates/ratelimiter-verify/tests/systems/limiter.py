"""A limiter over Redis with one defect, or none: limiter.py DEFECT NODE PORT STORE.

Without a defect it is exact under every fault: a store that came back empty, and a key whose log is
gone, refuse for a window. STORE is a port, or the URL of sentinels; behind these an admission counts
once a replica has it.
"""
import hashlib, os, re, socket, sys, threading, time, urllib.error, urllib.request, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

DEFECT, NODE, PORT, STORE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
LIMIT, WINDOW = 10, float(os.environ["WINDOW"])
# ARGV: limit, window in ms, name of this check, whether this node has met the store before.
SCRIPT = """
local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)
local log, lost = KEYS[1], KEYS[1] .. ':lost'
redis.call('ZREMRANGEBYSCORE', log, 0, now - ARGV[2])
if redis.call('SETNX', 'marker', 1) == 1 and ARGV[4] == '1' then redis.call('SET', 'all', 1, 'PX', ARGV[2]) end
local until_ = tonumber(redis.call('HGET', 'until', log) or 0)
if ARGV[4] == '1' and until_ > now and redis.call('ZCARD', log) == 0 then redis.call('SET', lost, 1, 'PX', ARGV[2]) end
if redis.call('EXISTS', lost, 'all') > 0 then return -1 end
if redis.call('ZSCORE', log, ARGV[3]) then return 1 end
if redis.call('ZCARD', log) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', 'until', log, now + ARGV[2])
redis.call('ZADD', log, now, ARGV[3]) redis.call('PEXPIRE', log, ARGV[2] * 2) return 1"""

lock, counts, connection, met = threading.Lock(), {}, [], []


def connect():
    patient = DEFECT == "waits-for-ever"
    port = int(STORE) if STORE.isdigit() else primary()
    return socket.create_connection(("127.0.0.1", port), timeout=60 if patient else 0.25)


def primary():
    for sentinel in re.findall(r":(\d+)", STORE):
        with socket.create_connection(("127.0.0.1", int(sentinel)), timeout=0.25) as asked:
            answer = send(asked, ["SENTINEL", "get-master-addr-by-name", STORE.rsplit("/")[-1]])
            return int([answer.readline() for _ in range(5)][4])


def send(store, words):
    words = [str(w).encode() for w in words]
    store.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
    return store.makefile("rb")


def exchange(store, words):
    line = send(store, words).readline()
    if line.startswith(b"-"):
        raise ValueError(line.decode())
    return int(line.removeprefix(b":") or b"x")


def ask(*words):
    if DEFECT == "never-reconnects":
        with lock:
            connection or connection.append(connect())
            return exchange(connection[0], words)
    with connect() as store:
        answer = exchange(store, words)
        if answer == 1 and not STORE.isdigit() and exchange(store, ["WAIT", 1, 100]) == 0:
            raise ValueError("no replica has it")
        return answer


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


def run(*words):
    try:
        return ask("EVALSHA", hashlib.sha1(SCRIPT.encode()).hexdigest(), *words)
    except ValueError as error:
        if "NOSCRIPT" not in str(error):
            raise
    return ask("EVAL", SCRIPT, *words)


def exact(key):
    name = uuid.uuid4().hex
    seen = int(bool(met) and DEFECT != "trusts-the-store")
    words = [1, key, LIMIT, int(WINDOW * 1000)]
    try:
        answer = run(*words, name, seen)
    except OSError:
        if DEFECT == "retries-as-new":
            name = uuid.uuid4().hex
        answer = run(*words, name, seen)
    met.append(1)
    if answer == -1:
        raise ValueError("the store has lost admissions")
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
