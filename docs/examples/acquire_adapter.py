"""Verifies a library whose `acquire` waits, here `aiolimiter` (https://pypi.org/project/aiolimiter), with one command:

    pip install aiolimiter
    ratelimiter-verify exec --processes 1 --deadline 20s --limit '5/1s paced' --command 'python3 acquire_adapter.py 5 1'

Usage: acquire_adapter.py RATE SECONDS
Each line is a task of its own, so that no check waits for another one's answer; `waited_ms` is the time in `acquire` alone.
"""
import asyncio, json, sys, time

from aiolimiter import AsyncLimiter

rate, seconds = float(sys.argv[1]), float(sys.argv[2])
limiters = {}


async def answer(check):
    limiter = limiters.setdefault(check["key"], AsyncLimiter(rate, seconds))
    began = time.monotonic()
    await limiter.acquire(check["cost"])
    waited = (time.monotonic() - began) * 1000
    print(json.dumps({"id": check["id"], "allowed": True, "waited_ms": waited}), flush=True)


async def main():
    loop, tasks = asyncio.get_running_loop(), set()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.create_task(answer(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
