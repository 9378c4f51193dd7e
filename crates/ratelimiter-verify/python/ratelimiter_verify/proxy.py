"""Faults between a test's application and its Redis or Valkey, command by command.

    from ratelimiter_verify.proxy import RespProxy

    with RespProxy("redis://localhost:6379") as proxy:
        client = redis.Redis(port=proxy.port)
        with proxy.rule("command=INCRBY do=swallow-reply") as lost:
            ...
        assert lost.effects == 1
"""

from __future__ import annotations

import json
import subprocess
import uuid
from types import TracebackType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from . import _programs

#: Seconds until the program must have named its addresses, and answered a request.
_PATIENCE = 10.0


class RespProxy:
    """A ``resp-proxy`` in front of a store, on a port of its own, until the block ends."""

    def __init__(self, store: str) -> None:
        """:param store: Where commands go: ``redis://`` or ``rediss://``, password included."""
        self.store = store
        self.host, self.port = "127.0.0.1", 0
        self._control = ""
        self._program: subprocess.Popen[str] | None = None
        # A proxy of the environment is for other machines.
        self._opener = build_opener(ProxyHandler({}))

    def __enter__(self) -> RespProxy:
        command = [_programs.find("resp-proxy"), "--listen", "127.0.0.1:0"]
        command += ["--control", "127.0.0.1:0"]
        # In the environment, since other users see the arguments of a process.
        environment = _programs.environment(RESP_PROXY_STORE=self.store)
        self._program = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._program.stdout is not None
        for line in self._program.stdout:
            if line.startswith("control: "):
                self._control = line.split()[1]
                break
            address, passes, _ = line.partition(" passes to ")
            if passes:
                self.port = int(address.rpartition(":")[2])
        if not self._control or not self.port:
            raise _programs.ProgramError(f"resp-proxy ended with {self._program.wait()}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._program is not None:
            self._program.terminate()
            self._program.communicate(timeout=_PATIENCE)

    @property
    def url(self) -> str:
        """The store as the application reaches it through the proxy, without user and password."""
        return f"redis://{self.host}:{self.port}"

    def rule(self, text: str, lease: str = "60s") -> Rule:
        """A fault for the length of a ``with`` block; ``resp-proxy --help`` lists the words.

        :param text: Such as ``"command=INCR first=1 do=swallow-reply"``.
        :param lease: The fault ends by itself after so long, even if this process is killed.
        """
        return Rule(self, text, lease)

    def reset(self) -> None:
        """Ends all rules."""
        self._request("POST", "/reset")

    def commands(self) -> dict[str, int]:
        """How many commands of each name came."""
        seen: dict[str, int] = self._request("GET", "/proxies/proxy")["seen"]["commands"]
        return seen

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._control + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=_PATIENCE) as answer:
                return json.loads(answer.read() or "null")
        except HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            raise ValueError(_reason(text)) from None


class Rule:
    """A fault while its block runs; its counts stay readable afterwards."""

    def __init__(self, proxy: RespProxy, text: str, lease: str) -> None:
        self.text = text
        self._proxy = proxy
        self._lease = lease
        self._path = ""
        self._last: dict[str, Any] = {}

    def __enter__(self) -> Rule:
        name = f"rule-{uuid.uuid4().hex[:8]}"
        attributes = {"rule": self.text, "for": self._lease}
        toxic = {"name": name, "type": "resp", "attributes": attributes}
        self._last = self._proxy._request("POST", "/proxies/proxy/toxics", toxic)
        self._path = f"/proxies/proxy/toxics/{quote(name)}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._read()
        path, self._path = self._path, ""
        self._proxy._request("DELETE", path)

    @property
    def effects(self) -> int:
        """How often the fault happened."""
        self._read()
        return int(self._last["effects"])

    @property
    def fitted(self) -> int:
        """How many commands fitted the rule."""
        self._read()
        return int(self._last["fitted"])

    @property
    def warnings(self) -> list[str]:
        """Reasons why the rule may never fit, such as an unknown name of a command."""
        return list(self._last["warnings"])

    def wait_effects(self, effects: int = 1, timeout: float = 2.0) -> int:
        """Waits for so many effects.

        :param timeout: Seconds.
        :raises ValueError: There were fewer; the message has the commands that came.
        """
        query = urlencode({"wait_effects": effects, "timeout": f"{timeout * 1000:.0f}ms"})
        self._last = self._proxy._request("GET", f"{self._path}?{query}")
        return int(self._last["effects"])

    def _read(self) -> None:
        if self._path:
            self._last = self._proxy._request("GET", self._path)


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
