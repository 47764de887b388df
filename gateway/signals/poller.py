"""Polls a transmitter for its events (RFC 8936): one question at a time, acknowledging what is durable."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Counter

from gateway.identity.http_json import Unreachable
from gateway.signals.asking import Asking
from gateway.signals.deliveries import Unavailable
from gateway.signals.receiver import Outcome
from gateway.signals.security_event_token import SetError

MOST_EVENTS: Final = 50  # in one answer
_LARGEST: Final = 4 << 20  # bytes of an answer
_LONGEST: Final = 60.0  # seconds that a question may stay open
_IDLE: Final = 1.0  # seconds, after an answer at once that brought nothing new
_FIRST, _LAST = 0.5, 60.0  # seconds after a failure, doubled each time
_POLLS = Counter("portcullis_gateway_event_polls_total", "Polls for security events", ["issuer", "result"])
_log = structlog.get_logger()

Receive = Callable[[str, str], Awaitable[Outcome]]  # a token, and the id under which it came


class _Tokens(msgspec.Struct):
    """Section 2.3."""

    sets: dict[str, str] = {}
    moreAvailable: bool = False  # noqa: N815  # its name there


class Poller:
    """Polls one stream. What could not be acknowledged in one question is acknowledged in the next."""

    def __init__(
        self,
        issuer: str,
        url: Callable[[], str],
        asking: Asking,
        receive: Receive,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._issuer = issuer
        self._url = url
        self._asking = asking
        self._receive = receive
        self._sleep = sleep
        self._jitter = jitter
        self._ack: list[str] = []
        self._errors: dict[str, Mapping[str, str]] = {}
        self._failures = 0

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            pause = await self._poll()
            if pause:
                await self._sleep(self._jitter(pause / 2, pause))

    async def _poll(self) -> float:
        """Ask once; seconds until the next time."""
        started = asyncio.get_running_loop().time()
        try:
            tokens = await self._ask()
        except Unreachable as error:
            if isinstance(error.__cause__, TimeoutError):  # it holds questions for longer than we do
                return 0.0
            return self._failed("unreachable", str(error))
        self._ack, self._errors = [], {}
        outcomes = await self._all(tokens)
        if None in outcomes:
            return self._failed("unavailable", "events could not be delivered")
        _POLLS.labels(self._issuer, "ok").inc()
        self._failures = 0
        held = asyncio.get_running_loop().time() - started >= _IDLE
        return 0.0 if held or "accepted" in outcomes else _IDLE

    async def _ask(self) -> _Tokens:
        question: dict[str, Any] = {"maxEvents": MOST_EVENTS, "returnImmediately": False}
        question |= {"ack": self._ack} if self._ack else {}
        question |= {"setErrs": self._errors} if self._errors else {}
        url = self._url()
        answer = await self._asking.ask("POST", url, question, largest=_LARGEST, seconds=_LONGEST)
        if answer.status != 200:
            raise Unreachable(f"{url}: status {answer.status}")
        try:
            return msgspec.convert(answer.body, _Tokens)
        except msgspec.ValidationError as error:
            raise Unreachable(f"{url}: {error}") from None

    async def _all(self, tokens: _Tokens) -> list[Outcome | None]:
        """What became of each token. More than we asked for stay unacknowledged, and come again."""
        asked_for = list(tokens.sets.items())[:MOST_EVENTS]
        async with asyncio.TaskGroup() as tasks:
            under_way = [tasks.create_task(self._one(jti, token)) for jti, token in asked_for]
        return [task.result() for task in under_way]

    async def _one(self, jti: str, token: str) -> Outcome | None:
        try:
            outcome = await self._receive(token, jti)
        except Unavailable:
            return None
        if isinstance(outcome, SetError):
            self._errors[jti] = {"err": outcome.err, "description": outcome.description}
        else:
            self._ack.append(jti)
        return outcome

    def _failed(self, result: str, why: str) -> float:
        _POLLS.labels(self._issuer, result).inc()
        _log.error("a transmitter's events cannot be had", issuer=self._issuer, error=why)
        self._failures += 1
        return min(_FIRST * 2.0 ** min(self._failures - 1, 10), _LAST)
