"""The tether: an ext_proc stream that lives as long as the HTTP or gRPC stream it judged.

Two messages in all. Aborting it makes Envoy reset the live stream in both directions within milliseconds
(`envoy.service.ext_proc.v3.ExternalProcessor` with `failure_mode_allow: false`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import grpc
import structlog
from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ImmediateResponse,
    ProcessingRequest,
    ProcessingResponse,
)
from envoy.type.v3.http_status_pb2 import HttpStatus
from google.protobuf.struct_pb2 import Struct

from gateway.enforcement.address import DIRECT, Proxies
from gateway.enforcement.attempt import CREDENTIAL_HEADERS, NOTHING, UNREAD, Answer, Attempt, request_of
from gateway.enforcement.ext_authz_grpc import options, refusal_headers
from gateway.enforcement.judge import Judge
from gateway.identity import Credentials
from gateway.sessions import Session, Sessions
from policy import AccessRequest, Decision

_log = structlog.get_logger()
_METADATA = "envoy.filters.http.ext_proc"


class Tether:
    """The servicer: judges a stream once at its start and holds it as a session."""

    def __init__(self, judge: Judge, sessions: Sessions, clock: Callable[[], float] = time.time) -> None:
        self._judge = judge
        self._sessions = sessions
        self._clock = clock

    async def Process(self, first: Any, context: Any) -> None:  # noqa: N802  # gRPC's name
        """One live stream, from its request headers to its end."""
        message: ProcessingRequest = await context.read()
        if message is grpc.aio.EOF or message.WhichOneof("request") != "request_headers":
            return
        proxies = self._judge.proxies
        attempt = attempt_of(message, proxies, self._judge.scheme)
        answer = self._judge.at_once(attempt) or await self._judge.ask(attempt)
        if answer.request is None or answer.decision is None or not answer.allowed:
            await context.write(refusal(answer, proxies.told(attempt.address)))
            return
        await self._hold(answer.request, answer.decision, answer, context)

    async def _hold(self, request: AccessRequest, decision: Decision, answer: Answer, context: Any) -> None:
        leash = _Leash()
        session = Session(answer.id, request, decision, self._clock(), leash.end)
        self._sessions.open(session)
        reading = asyncio.create_task(_drain(context))
        reading.add_done_callback(leash.let_go)
        try:
            await context.write(admission(answer, self._judge.proxies.told(request.address)))
            reason = await leash.ended
        finally:
            reading.cancel()
            self._sessions.close(session)
        if reason:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, reason)


class _Leash:
    """Ends once: with the reason of a cut, or with nothing when the stream ended by itself."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)

    def let_go(self, reading: asyncio.Task[None]) -> None:
        """Envoy closed the stream, or it broke."""
        if not reading.cancelled() and (error := reading.exception()):
            _log.info("tether broke", error=str(error))
        self.end("")


async def _drain(context: Any) -> None:
    """Answer the trailers message, and return when Envoy closes."""
    while (message := await context.read()) is not grpc.aio.EOF:
        if message.WhichOneof("request") == "response_trailers":
            await context.write(ProcessingResponse(response_trailers={}))


def attempt_of(message: ProcessingRequest, proxies: Proxies = DIRECT, scheme: str = "https") -> Attempt:
    """The attempt in a stream's first message."""
    headers = _joined(message.request_headers.headers.headers)

    def get(name: str) -> str:
        return str(headers.get(name, ""))

    method, target, host = get(":method"), get(":path"), get(":authority")
    proves = "dpop" in headers or "signature-input" in headers
    content = NOTHING if message.request_headers.end_of_stream else UNREAD
    request = request_of(get, method, scheme, host, target, content) if proves else None
    return Attempt(
        method=method,
        target=target,
        host=host,
        address=proxies.caller(get("x-forwarded-for")),
        credentials=Credentials(get("authorization"), get("x-forwarded-client-cert"), get("dpop"), request),
    )


def _joined(lines: Iterable[HeaderValue]) -> dict[str, str]:
    """The headers by name. Repeated lines are joined as ext_authz joins them, so that both see the same request."""
    headers: dict[str, str] = {}
    for line in lines:
        value = line.raw_value.decode("latin-1") if line.raw_value else line.value
        earlier = headers.get(line.key)
        headers[line.key] = value if earlier is None else f"{earlier},{value}"
    return headers


def admission(answer: Answer, address: str = "") -> ProcessingResponse:
    """Let the stream start, with our identity headers in place of the caller's token.

    `address`, where given, is what upstream and access log learn as the caller's.
    """
    headers = {**dict(answer.upstream()), **_told(address)}
    mutation = HeaderMutation(set_headers=options(headers.items()), remove_headers=CREDENTIAL_HEADERS)
    common = CommonResponse(header_mutation=mutation)
    metadata = _metadata(answer, address)
    return ProcessingResponse(request_headers=HeadersResponse(response=common), dynamic_metadata=metadata)


def refusal(answer: Answer, address: str = "") -> ProcessingResponse:
    """Refuse the stream before its response headers, as a proper answer; `address` as with `admission`."""
    immediate = ImmediateResponse(
        status=HttpStatus(code=answer.status),
        headers=HeaderMutation(set_headers=options(refusal_headers(answer))),
        body=answer.body(),
        details="portcullis_refused",
    )
    return ProcessingResponse(immediate_response=immediate, dynamic_metadata=_metadata(answer, address))


def _metadata(answer: Answer, address: str) -> Struct:
    metadata = Struct()
    metadata.update({_METADATA: {**dict(answer.identity()), "x-portcullis-effect": answer.effect, **_told(address)}})
    return metadata


def _told(address: str) -> dict[str, str]:
    return {"x-forwarded-for": address} if address else {}
