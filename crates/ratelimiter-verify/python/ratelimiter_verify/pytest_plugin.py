"""The fixture ``resp_proxy``: proxies in front of stores, which end with the test."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Callable, Iterator

import pytest

from .proxy import RespProxy


@pytest.fixture
def resp_proxy() -> Iterator[Callable[[str], RespProxy]]:
    """``proxy = resp_proxy("redis://localhost:6379")``; then ``with proxy.rule("..."):``."""
    with ExitStack() as proxies:
        yield lambda store: proxies.enter_context(RespProxy(store))
