"""``verify`` against limiters in this process, right ones and wrong ones."""

import asyncio
import threading
import time

import pytest

from ratelimiter_verify import Undecided, Violated, verify, verify_async


class Sliding:
    """A correct sliding window in this process; its racy twin counts outside of the lock."""

    def __init__(self, amount, window, racy=False):
        self.amount, self.window, self.racy = amount, window, racy
        self.admitted, self.lock = {}, threading.Lock()

    def room(self, key, cost):
        now = time.monotonic()
        kept = [entry for entry in self.admitted.get(key, []) if entry[0] > now - self.window]
        self.admitted[key] = kept
        return sum(entry[1] for entry in kept) + cost <= self.amount

    def admit(self, key, cost):
        self.admitted[key].append((time.monotonic(), cost))

    def allow(self, key, cost=1):
        if self.racy:
            if not self.room(key, cost):
                return False
            time.sleep(0.001)
            self.admit(key, cost)
            return True
        with self.lock:
            room = self.room(key, cost)
            if room:
                self.admit(key, cost)
            return room


class Denied(Exception):
    """What many libraries raise instead of an answer."""


def test_correct_limiter_passes():
    verdict = verify(Sliding(10, 0.5).allow, limit="10/500ms")
    assert verdict.status == "passed"
    assert "Not tried" not in verdict.text
    assert len(verdict.history.splitlines()) == 7 * 33


def test_racy_limiter_is_accused_with_its_witness():
    with pytest.raises(Violated) as error:
        verify(Sliding(10, 0.5, racy=True).allow, limit="10/500ms")
    assert "admissions within" in str(error.value)
    assert "limit 10/500ms" in str(error.value)


def test_limiter_that_is_too_strict_is_accused():
    with pytest.raises(Violated, match="denied without cause"):
        verify(Sliding(9, 0.5).allow, limit="10/500ms")


def test_quota_that_never_returns_is_accused():
    with pytest.raises(Violated, match="denied without cause"):
        verify(Sliding(10, 3600).allow, limit="10/300ms")


def test_ignored_cost_is_accused():
    limiter = Sliding(10, 0.5)
    with pytest.raises(Violated):
        verify(lambda key, cost: limiter.allow(key, 1), limit="10/500ms")
    assert verify(lambda key: limiter.allow(key), limit="10/500ms").status == "passed"


def test_second_argument_of_another_name_is_no_cost():
    limiter = Sliding(10, 0.5)
    verdict = verify(lambda key, timeout=None: limiter.allow(key), limit="10/500ms")
    assert "Not tried: costs" in verdict.text


def test_long_windows_are_not_awaited_unless_asked():
    verdict = verify(Sliding(10, 60).allow, limit="10/1m", bursts=2)
    assert "whether quota returns after 60 s" in verdict.text


def test_coroutines_are_called_as_tasks():
    async def racy(key):
        allowed = limiter.room(key, 1)
        await asyncio.sleep(0)
        if allowed:
            limiter.admit(key, 1)
        return allowed

    async def right(key):
        return limiter.allow(key)

    limiter = Sliding(10, 0.5)
    assert verify(right, limit="10/500ms").status == "passed"
    with pytest.raises(Violated):
        verify(racy, limit="10/500ms")

    async def inside():
        return await verify_async(right, limit="10/500ms", bursts=1)

    assert asyncio.run(inside()).status == "passed"


def test_exceptions_can_mean_denied():
    limiter = Sliding(10, 0.5)

    def raising(key):
        if not limiter.allow(key):
            raise Denied

    assert verify(raising, limit="10/500ms", denied=Denied).status == "passed"


def test_answers_that_are_no_answers_are_refused():
    for answer in [None, "yes", 2, {}]:
        with pytest.raises(TypeError, match="True means allowed"):
            verify(lambda key: answer, limit="10/500ms")


def test_limiter_that_only_fails_is_undecided():
    def down(key):
        raise ConnectionError("no store")

    with pytest.raises(Undecided):
        verify(down, limit="10/500ms", failed=ConnectionError, after_window=False)


@pytest.mark.parametrize("limit", ["", "10", "10/2", "ten/2s", "0/2s", "10/2s tokenbucket"])
def test_unreadable_limits_are_refused(limit):
    with pytest.raises((ValueError, RuntimeError), match="10/2s|token-bucket"):
        verify(lambda key: True, limit=limit, after_window=False)
