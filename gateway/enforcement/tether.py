"""The tether: an ext_proc stream that lives as long as the HTTP or gRPC stream it judged.

Two messages in all. Ending it makes Envoy reset the live stream in both directions within milliseconds
(`envoy.service.ext_proc.v3.ExternalProcessor` with `failure_mode_allow: false`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from google.protobuf.message import DecodeError

from gateway.enforcement.attempt import Answer, Attempt
from gateway.enforcement.grpc_connection import ANY, UNREADABLE, GrpcConnection
from gateway.enforcement.http2 import INTERNAL, INVALID_ARGUMENT, OK, PERMISSION_DENIED
from gateway.enforcement.judge import Judge
from gateway.enforcement.processing import TRAILERS_SEEN, admission, attempt_of, refusal
from gateway.sessions import Cut, Session, Sessions
from policy import AccessRequest, Decision

_log = structlog.get_logger()
METHOD: Final = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"

Opened = Callable[[Session, int], None]


class Reading(NamedTuple):
    """How one kind of Envoy tells of a stream, and what it must be told."""

    attempt: Callable[[ProcessingRequest], Attempt]  # of a first message; raises ValueError where it has none
    told: Callable[[str], str]  # of a caller's address, "" for nothing
    claimed: Callable[[ProcessingRequest], list[str]]  # the caller's headers that stay here beside its proofs


class Tether:
    """One connection's tethers: each stream on it is judged once and then held as a session."""

    def __init__(
        self,
        judge: Judge,
        sessions: Sessions,
        opened: Opened,
        connection: GrpcConnection,
        reading: Reading,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`opened` hears of each session that begins, and of the epoch in which it was judged."""
        self._judge = judge
        self._sessions = sessions
        self._opened = opened
        self._connection = connection
        self._reading = reading
        self._clock = clock
        self._held: dict[int, Session] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}

    def message(self, stream: int, content: bytes) -> None:
        """Judge what begins."""
        if stream in self._held:
            self._connection.send(stream, TRAILERS_SEEN)  # all that Envoy still says on a stream that lives
        else:
            self._begin(stream, content)

    def finished(self, stream: int) -> None:
        """Envoy says no more: nor do we."""
        self.over(stream)
        self._connection.abort(stream, OK, "")

    def over(self, stream: int) -> None:
        """Forget what ends."""
        if (task := self._asking.pop(stream, None)) is not None:
            task.cancel()
        if (session := self._held.pop(stream, None)) is not None:
            self._sessions.close(session)

    def close(self) -> None:
        """Envoy is gone, and with it every stream."""
        for stream in (*self._asking, *self._held):
            self.over(stream)

    def _begin(self, stream: int, content: bytes) -> None:
        """A stream's request headers. One that cannot be read ends alone: there are thousands beside it."""
        try:
            attempt, claimed = self._attempt(stream, content)
            answer = self._judge.at_once(attempt)
            if answer is not None:
                self._answer(stream, answer, attempt, claimed, self._sessions.epoch)
            else:
                later = self._later(stream, attempt, claimed)
                self._asking[stream] = asyncio.get_running_loop().create_task(later)
        except (DecodeError, ValueError) as error:
            UNREADABLE.inc()
            _log.warning("a stream's first message cannot be read", error=str(error))
            self.over(stream)
            self._connection.abort(stream, INVALID_ARGUMENT, "not request headers")
        except Exception:
            UNREADABLE.inc()
            _log.exception("tethering failed, refused")
            self._connection.abort(stream, INTERNAL, "unavailable")

    def _attempt(self, stream: int, content: bytes) -> tuple[Attempt, list[str]]:
        message = ProcessingRequest.FromString(content)
        if message.WhichOneof("request") != "request_headers" or stream in self._asking:
            raise ValueError("not a stream's first message")
        return self._reading.attempt(message), self._reading.claimed(message)

    async def _later(self, stream: int, attempt: Attempt, claimed: list[str]) -> None:
        epoch = self._sessions.epoch
        answer = await self._judge.ask(attempt)
        del self._asking[stream]
        self._answer(stream, answer, attempt, claimed, epoch)
        self._connection.flush()

    def _answer(self, stream: int, answer: Answer, attempt: Attempt, claimed: list[str], epoch: int) -> None:
        """`epoch` of the sessions: the one in which the attempt was judged."""
        address = self._reading.told(attempt.address)
        if answer.request is None or answer.decision is None or not answer.allowed:
            self._connection.send(stream, refusal(answer, address).SerializeToString(), last=True)
            return
        session = self._session(stream, attempt, answer.id, answer.request, answer.decision)
        self._sessions.open(session)
        self._held[stream] = session
        if self._connection.send(stream, admission(answer, address, claimed).SerializeToString()):
            self._opened(session, epoch)
        else:
            self.over(stream)

    def _session(self, stream: int, attempt: Attempt, name: str, request: AccessRequest, decision: Decision) -> Session:
        now, evidence = self._clock(), self._judge.evidence(attempt, request.principal)
        device = self._judge.device(request.principal)
        return Session(name, request, decision, now, partial(self._cut, stream), evidence, device, now)

    def _cut(self, stream: int, cut: Cut) -> None:
        """End a live stream, now."""
        if self._held.pop(stream, None) is not None:
            self._connection.abort(stream, PERMISSION_DENIED, f"{cut.reason} {cut.id}")
            self._connection.flush()


async def serve_tether(judge: Judge, sessions: Sessions, opened: Opened, socket: Path) -> None:
    """Hold our edge's streams on a Unix socket until cancelled; those that still live end then."""
    living: set[GrpcConnection] = set()
    proxies, scheme = judge.proxies, judge.scheme
    # What callers claim to be, our edge has taken away before.
    ours = Reading(lambda first: attempt_of(first, proxies, scheme), proxies.told, lambda _: [])

    def services(connection: GrpcConnection) -> dict[str, Tether]:
        return {ANY: Tether(judge, sessions, opened, connection, ours)}

    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: GrpcConnection(services, living), str(socket), backlog=1024)
    try:
        async with server:
            await server.serve_forever()
    finally:
        for connection in tuple(living):
            connection.close()
