"""The limiter of limiter.py as a rate limit service (RLS v3): rls.py ADDRESS STORE_PORT [deny].

Without an answer of its store a check is an error of the call, or, with `deny`, over the limit.
"""
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from limiter import admits

OK, OVER_LIMIT = b"\x08\x01", b"\x08\x02"


def field(message, wanted):
    """The bytes of a field. Fields before it are texts or messages, below 128 bytes each."""
    at = 0
    while message[at] >> 3 != wanted:
        at += 2 + message[at + 1]
    return message[at + 2:][:message[at + 1]]


def should_rate_limit(request, context):
    entry = field(field(request, 2), 1)  # the first descriptor's first entry
    try:
        return OK if admits(field(entry, 2).decode()) else OVER_LIMIT
    except (OSError, ValueError):
        if sys.argv[3:] == ["deny"]:
            return OVER_LIMIT
        context.abort(grpc.StatusCode.UNAVAILABLE, "the store did not answer")


server = grpc.server(ThreadPoolExecutor(64))
method = grpc.unary_unary_rpc_method_handler(should_rate_limit)
service = "envoy.service.ratelimit.v3.RateLimitService"
server.add_generic_rpc_handlers(
    [grpc.method_handlers_generic_handler(service, {"ShouldRateLimit": method})])
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
