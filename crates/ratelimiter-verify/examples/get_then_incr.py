"""A limiter behind RESP that counts in a store: `CHECK key` is answered with 1 or 0. MODE is `racy` (GET, then INCR) or `correct` (INCR).

Usage: get_then_incr.py STORE_HOST STORE_PORT MODE LIMIT [PAUSE_MS between GET and INCR]. It prints the port on which it listens.
"""
import socket, socketserver, sys, time

host, port, mode, limit = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
pause = float(sys.argv[5]) / 1000 if sys.argv[5:] else 0


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        store = socket.create_connection((host, port)).makefile("rwb", buffering=0)

        def call(command, key):
            store.write(b"*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(command), command, len(key), key))
            line = store.readline()
            bulk = line[:1] == b"$" and line[1:3] != b"-1"
            return int(store.readline() if bulk else 0 if line[:1] == b"$" else line[1:])

        while self.rfile.readline():  # *2, $5, CHECK, $n
            *_, key = [self.rfile.readline().strip() for _ in range(4)]
            if mode == "racy":
                allowed = call(b"GET", key) < limit
                if allowed:
                    time.sleep(pause)
                    call(b"INCR", key)
            else:
                allowed = call(b"INCR", key) <= limit
            self.wfile.write(b":1\r\n" if allowed else b":0\r\n")


socketserver.ThreadingTCPServer.request_queue_size = 512
with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
