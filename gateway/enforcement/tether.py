"""The tether: an ext_proc stream that lives as long as the HTTP or gRPC stream it judged.

Two messages in all. Ending it makes Envoy reset the live stream in both directions within milliseconds
(`envoy.service.ext_proc.v3.ExternalProcessor` with `failure_mode_allow: false`).

It has a socket of its own and speaks HTTP/2 by itself. With grpc.aio each stream is 68 objects that the garbage
collector walks, and each cut leaves 70 more in cycles: ten thousand streams stop the gateway for half a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from google.protobuf.message import DecodeError
from prometheus_client import Counter

from gateway.enforcement.attempt import Answer, Attempt
from gateway.enforcement.http2 import INTERNAL, INVALID_ARGUMENT, PERMISSION_DENIED, Event, Http2, Message
from gateway.enforcement.http2_frames import Violation
from gateway.enforcement.judge import Judge
from gateway.enforcement.processing import TRAILERS_SEEN, admission, attempt_of, refusal
from gateway.sessions import Cut, Session, Sessions
from policy import AccessRequest, Decision

_log = structlog.get_logger()
_CLOSED = Counter("portcullis_gateway_tether_closed_total", "Connections closed because they broke HTTP/2's rules")
_UNREAD = Counter("portcullis_gateway_tether_unread_total", "Streams ended because their message could not be read")


Opened = Callable[[Session, int], None]


class Tether(asyncio.Protocol):
    """One connection of Envoy's, with all the streams on it: each is judged once and then held as a session."""

    def __init__(
        self,
        judge: Judge,
        sessions: Sessions,
        opened: Opened,
        living: set[Tether],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`opened` hears of each session that begins, and of the epoch in which it was judged."""
        self._living = living  # all connections, for who must end them
        self._judge = judge
        self._sessions = sessions
        self._opened = opened
        self._clock = clock
        self._http2 = Http2()
        self._held: dict[int, Session] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport
        self._living.add(self)
        self._write()

    def close(self) -> None:
        """End the connection, and every stream on it, now."""
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Envoy is gone, and with it every stream."""
        self._living.discard(self)
        for task in self._asking.values():
            task.cancel()
        for session in self._held.values():
            self._sessions.close(session)
        self._held.clear()
        self._asking.clear()

    def pause_writing(self) -> None:
        """Who does not read is not read either."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Judge what begins, forget what ends."""
        try:
            for event in self._http2.receive(data):
                self._happened(event)
        except Violation as error:
            _CLOSED.inc()
            _log.error("the tether's peer broke the rules, closed", error=str(error))
            self._transport.write(self._http2.goodbye())
            self._transport.close()
        else:
            self._write()

    def _happened(self, event: Event) -> None:
        if not isinstance(event, Message):
            self._over(event.stream)
        elif event.stream in self._held:
            self._http2.send(event.stream, TRAILERS_SEEN)  # all that Envoy still says on a stream that lives
        else:
            self._begin(event)

    def _begin(self, first: Message) -> None:
        """A stream's request headers. One that cannot be read ends alone: there are thousands beside it."""
        try:
            attempt = self._attempt(first)
            answer = self._judge.at_once(attempt)
            if answer is not None:
                self._answer(first.stream, answer, attempt, self._sessions.epoch)
            else:
                self._asking[first.stream] = asyncio.get_running_loop().create_task(self._later(first.stream, attempt))
        except (DecodeError, ValueError) as error:
            _UNREAD.inc()
            _log.warning("a stream's first message cannot be read", error=str(error))
            self._http2.abort(first.stream, INVALID_ARGUMENT, "not request headers")
        except Exception:
            _UNREAD.inc()
            _log.exception("tethering failed, refused")
            self._http2.abort(first.stream, INTERNAL, "unavailable")

    def _attempt(self, first: Message) -> Attempt:
        message = ProcessingRequest.FromString(first.content)
        if message.WhichOneof("request") != "request_headers" or first.stream in self._asking:
            raise ValueError("not a stream's first message")
        return attempt_of(message, self._judge.proxies, self._judge.scheme)

    async def _later(self, stream: int, attempt: Attempt) -> None:
        epoch = self._sessions.epoch
        answer = await self._judge.ask(attempt)
        del self._asking[stream]
        self._answer(stream, answer, attempt, epoch)
        self._write()

    def _answer(self, stream: int, answer: Answer, attempt: Attempt, epoch: int) -> None:
        """`epoch` of the sessions: the one in which the attempt was judged."""
        address = self._judge.proxies.told(attempt.address)
        if answer.request is None or answer.decision is None or not answer.allowed:
            self._http2.send(stream, refusal(answer, address).SerializeToString(), last=True)
            return
        session = self._session(stream, attempt, answer.id, answer.request, answer.decision)
        self._sessions.open(session)
        self._held[stream] = session
        self._http2.send(stream, admission(answer, address).SerializeToString())
        self._opened(session, epoch)

    def _session(self, stream: int, attempt: Attempt, name: str, request: AccessRequest, decision: Decision) -> Session:
        now, evidence = self._clock(), self._judge.evidence(attempt, request.principal)
        device = self._judge.device(request.principal)
        return Session(name, request, decision, now, partial(self._cut, stream), evidence, device, now)

    def _cut(self, stream: int, cut: Cut) -> None:
        """End a live stream, now: uvloop itself writes at once what one turn of the loop has to say."""
        if self._held.pop(stream, None) is not None:
            self._http2.abort(stream, PERMISSION_DENIED, f"{cut.reason} {cut.id}")
            self._write()

    def _over(self, stream: int) -> None:
        if (task := self._asking.pop(stream, None)) is not None:
            task.cancel()
        if (session := self._held.pop(stream, None)) is not None:
            self._sessions.close(session)

    def _write(self) -> None:
        if data := self._http2.taken():
            self._transport.write(data)


async def serve_tether(judge: Judge, sessions: Sessions, opened: Opened, socket: Path) -> None:
    """Hold streams on a Unix socket until cancelled; those that still live end then."""
    living: set[Tether] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Tether(judge, sessions, opened, living), str(socket), backlog=1024)
    try:
        async with server:
            await server.serve_forever()
    finally:
        for connection in tuple(living):
            connection.close()
