"""A verdict on any rate limiter, with a proof.

    from ratelimiter_verify import verify

    def test_limiter():
        verify(limiter.allow, limit="10/2s")

``verify`` calls the limiter from many threads (or tasks) at one instant, records the times of every
call and its answer, and has ``ratelimiter-verify check`` judge these records. It raises an
``AssertionError`` with the smallest witness as text if the limit was broken.
"""

from ._programs import ProgramError
from ._verify import Undecided, Verdict, Violated, verify, verify_async

__all__ = ["ProgramError", "Undecided", "Verdict", "Violated", "verify", "verify_async"]
