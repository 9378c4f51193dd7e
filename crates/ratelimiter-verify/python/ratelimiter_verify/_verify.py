"""Calls a limiter at one instant, records the calls, and has them judged."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import re
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Iterator, Literal, Sequence

from . import _programs

Outcome = Literal["allowed", "denied", "failed"]
Exceptions = tuple[type[BaseException], ...]

#: Seconds a unit of a limit's text stands for.
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: A longer window is not waited for unless the caller asks for it.
_PATIENCE = 10.0
#: More threads than this start later than the first answers come.
_MOST_CALLERS = 200
_NS_PER_MS = 1e6


@dataclass(frozen=True)
class Verdict:
    """The judgement of a limiter; its text is what ``ratelimiter-verify check`` prints."""

    status: Literal["passed", "violated", "undecided"]
    text: str
    #: One JSON object a call, in the format of docs/history.md.
    history: str

    def __str__(self) -> str:
        return self.text


class Violated(AssertionError):
    """The limiter broke its limit; the message has the witness."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"\n{verdict.text}")
        self.verdict = verdict


class Undecided(AssertionError):
    """The records prove neither a pass nor a violation; the message has the reason."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"\n{verdict.text}")
        self.verdict = verdict


@dataclass(frozen=True)
class _Call:
    """One call that is still to be made."""

    key: str
    cost: int
    caller: str


class _Recorder:
    """Makes calls and keeps their records."""

    def __init__(self, limiter: Callable[..., Any], denied: Exceptions, failed: Exceptions) -> None:
        self.limiter = limiter
        self.denied = denied
        self.failed = failed
        # A limiter that denies by an exception often returns nothing otherwise.
        self.none: Outcome | None = "allowed" if denied else None
        self.takes_cost = _takes_cost(limiter)
        self.lines: list[str] = []
        self.error: BaseException | None = None

    def arguments(self, call: _Call) -> tuple[Any, ...]:
        return (call.key, call.cost) if self.takes_cost else (call.key,)

    def record(self, call: _Call) -> None:
        begin = time.perf_counter_ns()
        try:
            outcome = _outcome(self.limiter(*self.arguments(call)), self.none)
        except BaseException as error:  # noqa: BLE001: it is raised again by `run_threads`
            outcome = self._of_exception(error)
        self._keep(call, begin, outcome)

    async def record_async(self, call: _Call) -> None:
        begin = time.perf_counter_ns()
        try:
            outcome = _outcome(await self.limiter(*self.arguments(call)), self.none)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001: it is raised again by `verify_async`
            outcome = self._of_exception(error)
        self._keep(call, begin, outcome)

    def _of_exception(self, error: BaseException) -> Outcome | None:
        if isinstance(error, self.denied):
            return "denied"
        if isinstance(error, self.failed):
            return "failed"
        self.error = self.error or error
        return None

    def _keep(self, call: _Call, begin: int, outcome: Outcome | None) -> None:
        end = time.perf_counter_ns()
        record = {
            "key": call.key,
            "node": call.caller,
            "invoke_ms": begin / _NS_PER_MS,
            "complete_ms": end / _NS_PER_MS,
            "outcome": outcome or "unknown",
            "cost": call.cost,
        }
        self.lines.append(json.dumps(record))


def verify(
    limiter: Callable[..., Any],
    limit: str,
    *,
    bursts: int = 5,
    calls: int | None = None,
    denied: type[BaseException] | Exceptions = (),
    failed: type[BaseException] | Exceptions = (),
    after_window: bool | None = None,
) -> Verdict:
    """Calls ``limiter(key)`` or ``limiter(key, cost)`` at one instant, and judges the answers.

    :param limiter: A function, or a coroutine function, that returns ``True`` if the call is allowed
        and ``False`` if it is denied. It gets a key, and a cost if its second argument is named
        ``cost`` or has no default.
    :param limit: The promise, as the command line takes it: ``"10/2s"``, ``"100/1m fixed"``,
        ``"10/2s token-bucket"``.
    :param bursts: The number of bursts, each on a key of its own. A race shows only in a part of them.
    :param calls: The calls of a burst; three times the limit and three more by default, at most 200
        of them at one instant.
    :param denied: Exceptions that stand for a denial; a call that returns ``None`` is then allowed.
    :param failed: Exceptions of a call that was not allowed for another reason than quota.
    :param after_window: Whether a key is called again after a window, since quota must return. By
        default only if the window is at most 10 s.
    :returns: The verdict, if the limiter passed.
    :raises Violated: The limit was broken; the message has the witness.
    :raises Undecided: Nothing is proved; the message has the reason.
    :raises ValueError: The limit cannot be read.

    Any other exception of the limiter is raised as it is.
    """
    if _is_async(limiter):
        return asyncio.run(
            verify_async(
                limiter,
                limit,
                bursts=bursts,
                calls=calls,
                denied=denied,
                failed=failed,
                after_window=after_window,
            )
        )
    recorder = _Recorder(limiter, _tuple(denied), _tuple(failed))
    plan = _Plan(limit, bursts, calls, after_window, recorder.takes_cost)
    for step in plan.steps():
        time.sleep(step.rest)
        _at_one_instant(recorder, step.calls)
    return _judge(plan, recorder)


async def verify_async(
    limiter: Callable[..., Awaitable[Any]],
    limit: str,
    *,
    bursts: int = 5,
    calls: int | None = None,
    denied: type[BaseException] | Exceptions = (),
    failed: type[BaseException] | Exceptions = (),
    after_window: bool | None = None,
) -> Verdict:
    """As :func:`verify`, for a coroutine function and from within a running event loop."""
    recorder = _Recorder(limiter, _tuple(denied), _tuple(failed))
    plan = _Plan(limit, bursts, calls, after_window, recorder.takes_cost)
    for step in plan.steps():
        await asyncio.sleep(step.rest)
        await asyncio.gather(*(recorder.record_async(call) for call in step.calls))
        _raise_error(recorder)
    # The judge is another process: the loop goes on meanwhile.
    return await asyncio.get_running_loop().run_in_executor(None, _judge, plan, recorder)


@dataclass(frozen=True)
class _Step:
    """Calls that are made at one instant, ``rest`` seconds after the step before."""

    calls: Sequence[_Call]
    rest: float = 0.0


class _Plan:
    """The steps of a run."""

    def __init__(
        self, limit: str, bursts: int, calls: int | None, after_window: bool | None, costs: bool
    ) -> None:
        if bursts < 1:
            raise ValueError("at least one burst is needed")
        self.limit = limit
        amount, self.window = _parse(limit)
        self.bursts = bursts
        self.calls = 3 * amount + 3 if calls is None else calls
        self.costs = costs
        self.after_window = self.window <= _PATIENCE if after_window is None else after_window
        self.run = uuid.uuid4().hex[:8]

    def steps(self) -> Iterator[_Step]:
        """Bursts on new keys; one of costs 1, 2 and 3 in turn; then the first key once more."""
        for number in range(1, self.bursts + 1):
            yield _Step(self._burst(f"burst-{number}"))
        if self.costs:
            yield _Step(self._burst("costs", costs=(1, 2, 3)))
        if self.after_window:
            yield _Step(self._burst("burst-1"), rest=self.window * 1.01 + 0.02)

    def remark(self) -> str:
        """What the run did not try."""
        omitted = []
        if not self.after_window:
            omitted.append(f"whether quota returns after {self.window:g} s (after_window=True)")
        if not self.costs:
            omitted.append("costs, since the limiter takes a key alone")
        return f"Not tried: {'; '.join(omitted)}.\n" if omitted else ""

    def _burst(self, name: str, costs: Sequence[int] = (1,)) -> list[_Call]:
        key = f"{name}-{self.run}"
        given = itertools.islice(itertools.cycle(costs), self.calls)
        return [_Call(key, cost, f"caller-{n}") for n, cost in enumerate(given, start=1)]


def _at_one_instant(recorder: _Recorder, calls: Sequence[_Call]) -> None:
    """Makes the calls from as many threads, which wait for each other before the first call."""
    callers = min(len(calls), _MOST_CALLERS)
    barrier = threading.Barrier(callers)

    def caller(own: Sequence[_Call]) -> None:
        barrier.wait()
        for call in own:
            recorder.record(call)

    threads = [
        threading.Thread(target=caller, args=(calls[number::callers],), daemon=True)
        for number in range(callers)
    ]
    # The interpreter changes threads every 5 ms: a race of a few instructions would hardly show.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    _raise_error(recorder)


def _raise_error(recorder: _Recorder) -> None:
    if recorder.error is not None:
        raise recorder.error


def _judge(plan: _Plan, recorder: _Recorder) -> Verdict:
    """Has the records judged by the program that the wheel brings."""
    history = "".join(f"{line}\n" for line in recorder.lines)
    # All times are of one clock and the keys are new, so nothing is uncertain.
    command = [_programs.find("ratelimiter-verify"), "check", "-", "--limit", plan.limit]
    command += ["--fresh", "--uncertainty", "0s"]
    done = subprocess.run(
        command, input=history, capture_output=True, text=True, env=_programs.environment()
    )
    text = done.stdout + plan.remark()
    if done.returncode == 0:
        return Verdict("passed", text, history)
    if done.returncode == 3:
        raise Violated(Verdict("violated", text, history))
    if done.returncode == 4:
        raise Undecided(Verdict("undecided", text, history))
    raise _programs.ProgramError(done.stderr.strip() or f"exit code {done.returncode}")


def _parse(limit: str) -> tuple[int, float]:
    """Amount and window in seconds; the program reads the whole text, and explains its errors."""
    match = re.match(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)\s*([a-z]+)", limit)
    if match is None or match[3] not in _UNITS or int(match[1]) < 1:
        raise ValueError(f"a limit is an amount and a window, such as '10/2s': {limit!r}")
    return int(match[1]), float(match[2]) * _UNITS[match[3]]


def _outcome(answer: Any, none: Outcome | None) -> Outcome:
    """``none`` is the outcome of a call that returns nothing."""
    if isinstance(answer, int) and answer in (0, 1):
        return "allowed" if answer else "denied"
    if answer is None and none is not None:
        return none
    raise TypeError(
        f"the limiter returned {answer!r}: True means allowed, False denied; wrap it in a lambda, "
        "or name the exception that means denied with denied="
    )


def _takes_cost(limiter: Callable[..., Any]) -> bool:
    """Whether the second argument is a cost: it is named so, or the call needs it."""
    try:
        parameters = list(inspect.signature(limiter).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) < 2 or parameters[1].kind not in positional:
        return False
    return parameters[1].name == "cost" or parameters[1].default is inspect.Parameter.empty


def _is_async(limiter: Callable[..., Any]) -> bool:
    call = getattr(limiter, "__call__", None)
    return inspect.iscoroutinefunction(limiter) or inspect.iscoroutinefunction(call)


def _tuple(exceptions: type[BaseException] | Exceptions) -> Exceptions:
    return exceptions if isinstance(exceptions, tuple) else (exceptions,)
