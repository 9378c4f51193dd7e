"""A sliding log over Redis behind HTTP: limiter.py PORT STORE_PORT."""
import socket, sys, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

LIMIT, WINDOW_MS = 10, 2000
SCRIPT = b"""local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - ARGV[2])
if redis.call('ZSCORE', KEYS[1], ARGV[3]) then return 1 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[3]) redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1"""


def ask(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    with socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=0.3) as store:
        store.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return int(store.makefile("rb").readline().removeprefix(b":"))


def admits(key):
    return ask("EVAL", SCRIPT, 1, key, LIMIT, WINDOW_MS, uuid.uuid4().hex)


class Limiter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        key = parse_qs(urlparse(self.path).query)["key"][0]
        try:
            status = 200 if admits(key) else 429
        except (OSError, ValueError):
            status = 503  # The store did not answer: the check fails.
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Limiter).serve_forever()
