"""The edge's questions: what Envoy's module asks about each request, answered on a Unix socket.

One connection is one worker of Envoy; questions come many at a time and are answered in one write. What an issuer or
another engine must be asked about is answered when it can be.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client import Counter

from gateway.enforcement.attempt import NOTHING, UNREAD, Answer, Attempt, Content, request_of
from gateway.enforcement.frames import CONTENT_NONE, CONTENT_SHOWN, Malformed, Question, answer, hello, question
from gateway.enforcement.judge import Judge
from gateway.enforcement.reuse import ONCE, Reuse, Reusing
from gateway.identity import Credentials

_log = structlog.get_logger()
_CLOSED = Counter("portcullis_gateway_questions_closed_total", "Connections of the edge that sent something else")
_NAMES: Final = {  # of the headers that a signature may cover, by their place in a question
    name: place
    for place, name in enumerate(
        (
            *("method", "target", "host", "x-forwarded-for", "authorization", "x-forwarded-client-cert", "dpop"),
            *("signature", "signature-input", "signature-agent", "content-digest"),
        )
    )
}


class Questions(asyncio.Protocol):
    """One connection. `instance`: which start of the gateway answers."""

    def __init__(self, judge: Judge, reusing: Reusing, instance: int) -> None:
        self._judge = judge
        self._reusing = reusing
        self._instance = instance
        self._data = b""
        self._transport: Any = None
        self._waiting: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello: before it nobody is asked."""
        self._transport = transport
        self._transport.write(hello(self._instance))

    def connection_lost(self, error: Exception | None) -> None:
        """The edge is gone, and with it who waited."""
        for task in self._waiting:
            task.cancel()

    def pause_writing(self) -> None:
        """Who does not read is not read either."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Answer all that is whole."""
        data = self._data + data if self._data else data
        start, answers = 0, list[bytes]()
        try:
            while found := question(data, start):
                asked, start = found
                self._answer(asked, answers)
        except Malformed as error:
            _CLOSED.inc()
            _log.error("not the edge's questions, closed", error=str(error))
            self._transport.close()
        self._data = data[start:]
        if answers:
            self._transport.write(b"".join(answers))

    def _answer(self, asked: Question, answers: list[bytes]) -> None:
        number, attempt = asked[0], attempt_of(asked, self._judge)
        found = self._judge.at_once(attempt)
        if found is not None:
            answers.append(self._encoded(number, found, attempt))
            return
        task = asyncio.get_running_loop().create_task(self._later(number, attempt))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _later(self, number: int, attempt: Attempt) -> None:
        found = await self._judge.ask(attempt)
        if not self._transport.is_closing():
            self._transport.write(self._encoded(number, found, attempt))

    def _encoded(self, number: int, found: Answer, attempt: Attempt) -> bytes:
        reuse = self._reuse(found, attempt) if found.allowed else ONCE
        return encode(number, found, self._judge.proxies.told(attempt.address), reuse)

    def _reuse(self, found: Answer, attempt: Attempt) -> Reuse:
        if not self._reusing.ever or found.request is None or found.decision is None:
            return ONCE
        if attempt.credentials.request is not None:
            return ONCE  # it proves something by itself
        principal = found.request.principal
        return self._reusing.of(
            found.request,
            found.decision,
            lambda: (self._judge.evidence(attempt, principal), self._judge.device(principal)),
        )


def attempt_of(asked: Question, judge: Judge) -> Attempt:
    """The attempt that a question is about."""
    _, content, parts = asked
    method, target, host, forwarded, authorization, certificate = (part.decode("latin-1") for part in parts[:6])
    body = parts[11]
    proof, request = "", None
    if parts[6] or parts[8]:

        def get(name: str) -> str:
            return parts[_NAMES[name]].decode("latin-1")

        proof = get("dpop")
        request = request_of(get, method, judge.scheme, host, target, _content(content, body))
    return Attempt(
        method=method,
        target=target,
        host=host,
        address=judge.proxies.caller(forwarded),
        credentials=Credentials(authorization, certificate, proof, request),
        body=body,
    )


def _content(content: int, body: bytes) -> Content:
    if content == CONTENT_NONE:
        return NOTHING
    return Content(body) if content == CONTENT_SHOWN else UNREAD


def encode(number: int, found: Answer, address: str = "", reuse: Reuse = ONCE) -> bytes:
    """The frame that tells the edge, and through it the caller, the answer. `address`, where given, is what upstream
    and access log learn as the caller's.
    """
    principal = found.principal
    said = (
        found.id.encode("ascii"),
        principal.id.encode("ascii", "backslashreplace") if principal else b"",
        principal.actor.encode("ascii", "backslashreplace") if principal else b"",
        found.transaction.encode("ascii"),
        address.encode("latin-1"),
        found.challenge.encode("latin-1"),
        found.nonce.encode("ascii"),
        found.effect.encode("ascii"),
        found.route.encode("ascii"),
        b"" if found.allowed else found.body(),
    )
    return answer(number, found.allowed, found.status, reuse.ttl_ms, reuse.varies, reuse.buckets, said)


async def serve_questions(judge: Judge, reusing: Reusing, instance: int, socket: Path) -> None:
    """Answer on a Unix socket until cancelled."""
    loop = asyncio.get_running_loop()

    def made() -> Questions:
        return Questions(judge, reusing, instance)

    server = await loop.create_unix_server(made, str(socket), backlog=1024)
    async with server:
        await server.serve_forever()
