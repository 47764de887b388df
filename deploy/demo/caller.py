"""Callers of the bank: one request with its answer as a value, and a live stream whose gaps are measured."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from deploy.demo.sandbox import Host

DECISION = "x-portcullis-decision"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `status` 0 and `error` in words when nothing did. `ms` is the whole exchange."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    ms: float = 0.0
    error: str = ""

    @property
    def decision(self) -> str:
        """Id of the decision behind this answer."""
        return self.headers.get(DECISION, "") or str(self.body.get("decision", ""))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was refused, as the caller is told."""
        told = self.body.get("reasons") or self.body.get("reason") or ()
        return (told,) if isinstance(told, str) else tuple(told)

    def __str__(self) -> str:
        return f"{self.status or self.error} {' '.join(self.reasons)}".strip()


class Caller:
    """Somebody at a host, with a token: the way every request of the story goes to the edge."""

    def __init__(self, edge: str, trust: ssl.SSLContext, host: Host, token: str = "", address: str = "") -> None:
        def opened(_info: Any) -> Any:
            return host.open_socket(address)

        headers = {"authorization": f"Bearer {token}"} if token else {}
        connector = aiohttp.TCPConnector(ssl=trust, socket_factory=opened, limit=0)
        self._edge = edge
        self._session = aiohttp.ClientSession(connector=connector, headers=headers)

    async def get(self, path: str, seconds: float = 3.0) -> Answer:
        """GET a path."""
        return await self._ask("GET", path, None, seconds)

    async def post(self, path: str, body: dict[str, Any], seconds: float = 3.0) -> Answer:
        """POST a JSON body."""
        return await self._ask("POST", path, body, seconds)

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None, seconds: float) -> Answer:
        start = time.perf_counter()
        wait = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.request(method, self._edge + path, json=body, timeout=wait) as response:
                told = _json(await response.read())
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, told, headers, (time.perf_counter() - start) * 1000)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            words = f"{type(error).__name__}: {error}".rstrip(": ")
            return Answer(0, ms=(time.perf_counter() - start) * 1000, error=words)

    async def stream(self, path: str) -> Stream:
        """Open a stream of server-sent events. Raises aiohttp.ClientError unless it is answered with 200."""
        wait = aiohttp.ClientTimeout(total=None, sock_connect=3)
        response = await self._session.get(self._edge + path, timeout=wait)
        response.raise_for_status()
        return Stream(response)

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()


def _json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


class Stream:
    """A live stream of server-sent events: when each came, and when and how it ended. Times are Unix seconds."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.arrivals: list[float] = []
        self.sequences: list[int] = []
        self.ended = 0.0
        self.why = ""
        self._response = response
        self._reading = asyncio.create_task(self._read())

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return not self.ended

    async def _read(self) -> None:
        try:
            async for line in self._response.content:
                if line.startswith(b"id:"):
                    self.arrivals.append(time.time())
                    self.sequences.append(int(line[3:]))
            self.why = "end of file"
        except (aiohttp.ClientError, OSError) as error:
            self.why = f"{type(error).__name__}: {error}"
        self.ended = time.time()

    def longest_gap(self, since: float) -> float:
        """Longest time without an event from `since` until now, seconds."""
        times = [since, *(moment for moment in self.arrivals if moment >= since), time.time()]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def unbroken(self) -> bool:
        """Whether it lives and no event was left out."""
        return self.live and self.sequences == list(range(len(self.sequences)))

    async def close(self) -> None:
        """Leave it."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._response.close()


async def reaches(host: Host, address: str, port: int, seconds: float = 0.7, source: str = "") -> bool:
    """Whether a TCP connection from `host` to an address is answered in time: what a packet filter takes away."""
    opened = host.open_socket(source)
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(opened, (address, port))
        return True
    except (TimeoutError, OSError):
        return False
    finally:
        opened.close()
