"""ext_authz over HTTP, the fast path: Envoy's authorization request answered by a bare asyncio protocol.

Envoy sends the original method, path and chosen headers; 2xx lets the request pass, anything else is the caller's
answer (Envoy, `envoy.extensions.filters.http.ext_authz.v3.HttpService`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httptools
import structlog
from prometheus_client import Counter

from gateway.enforcement.attempt import CREDENTIAL_HEADERS, Answer, Attempt, request_of
from gateway.enforcement.judge import Judge, refusal_id
from gateway.identity import Credentials
from gateway.transactions import HEADER as TRANSACTION_HEADER

_log = structlog.get_logger()
_LARGEST = (1 << 20) + (96 << 10)  # bytes: the most that a route's body and the edge's headers may be
_CLOSED = Counter("portcullis_gateway_authz_closed_total", "Connections closed because they sent something else")
_REASONS = {400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 503: b"Service Unavailable"}
_ALLOW = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-envoy-auth-headers-to-remove: "
    + ",".join(CREDENTIAL_HEADERS).encode()
    + b"\r\nx-portcullis-effect: allow\r\nx-portcullis-decision: "
)


class ExtAuthz(asyncio.Protocol):
    """One connection of Envoy's; requests come one at a time (Envoy does not pipeline)."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._waiting: asyncio.Task[None] | None = None
        self._size = 0
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Envoy gave up: so do we."""
        if self._waiting is not None:
            self._waiting.cancel()
        del self._parser  # it and we hold each other: what was read would stay until the garbage is collected

    def data_received(self, data: bytes) -> None:
        """Parse. Anything that is not an HTTP request within the bounds closes the connection; what Envoy let through
        and the parser does not read, a method that nobody knows, is refused before that.
        """
        self._size += len(data)
        if self._size > _LARGEST:
            self._close("too large")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            self._close(str(error))
        except httptools.HttpParserError as error:
            self._unreadable()
            self._close(str(error))

    def _unreadable(self) -> None:
        """Left without an answer, Envoy would tell the caller that we are away."""
        if self._waiting is None:
            self._transport.write(encode(Answer(400, refusal_id(), "deny", ("unreadable",)), last=True))

    def _close(self, why: str) -> None:
        _CLOSED.inc()
        _log.warning("not an authorization request, closed", error=why)
        self._transport.close()

    def on_message_begin(self) -> None:
        """A request starts."""
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def on_url(self, url: bytes) -> None:
        """Part of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; a repeated one is joined as RFC 9110 section 5.3 says."""
        earlier = self._headers.get(name)
        self._headers[name] = value if earlier is None else earlier + b"," + value

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """A request is whole: answer at once, or when it can be."""
        self._size = 0
        if self._waiting is not None:
            self._transport.close()
            return
        attempt = self._attempt()
        answer = self._judge.at_once(attempt)
        if answer is not None:
            self._send(answer, attempt)
        else:
            self._waiting = asyncio.get_running_loop().create_task(self._later(attempt))

    async def _later(self, attempt: Attempt) -> None:
        answer = await self._judge.ask(attempt)
        self._waiting = None
        if not self._transport.is_closing():
            self._send(answer, attempt)

    def _send(self, answer: Answer, attempt: Attempt) -> None:
        self._transport.write(encode(answer, attempt.method, self._judge.proxies.told(attempt.address)))

    def _attempt(self) -> Attempt:
        method, target, host = self._parser.get_method().decode(), self._target.decode("latin-1"), self._get("host")
        proof, request = "", None
        if b"dpop" in self._headers or b"signature-input" in self._headers:
            proof = self._get("dpop")
            content = self._judge.content(target, self._body)
            request = request_of(self._get, method, self._judge.scheme, host, target, content)
        return Attempt(
            method=method,
            target=target,
            host=host,
            address=self._judge.proxies.caller(self._get("x-forwarded-for")),
            credentials=Credentials(self._get("authorization"), self._get("x-forwarded-client-cert"), proof, request),
            body=self._body,
        )

    def _get(self, name: str) -> str:
        return self._headers.get(name.encode(), b"").decode("latin-1")


def encode(answer: Answer, method: str = "", address: str = "", last: bool = False) -> bytes:
    """The HTTP response that tells Envoy, and through it the caller, the answer. To HEAD it has no body.

    `address`, where given, is what upstream and access log learn as the caller's. After a refusal that is the `last`,
    Envoy sends nothing more on this connection.
    """
    principal = answer.principal
    told = f"x-forwarded-for: {address}\r\n".encode("latin-1") if address else b""
    if answer.allowed and principal is not None:
        who = f"{answer.id}\r\nx-portcullis-subject: {principal.id}\r\nx-portcullis-actor: {principal.actor}\r\n"
        token = f"{TRANSACTION_HEADER}: {answer.transaction}\r\n" if answer.transaction else ""
        route = f"x-portcullis-route: {answer.route}\r\n"
        return _ALLOW + (who + route + token).encode("ascii") + told + b"\r\n"
    body = answer.body()
    head = [
        b"HTTP/1.1 %d %s" % (answer.status, _REASONS[answer.status]),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"x-portcullis-effect: " + answer.effect.encode(),
        *(f"{name}: {value}".encode("ascii") for name, value in answer.identity()),
        *([b"www-authenticate: " + answer.challenge.encode("latin-1")] if answer.challenge else []),
        *([b"dpop-nonce: " + answer.nonce.encode("ascii")] if answer.nonce else []),
        *([b"connection: close"] if last else []),
    ]
    return b"\r\n".join(head) + b"\r\n" + told + b"\r\n" + (b"" if method == "HEAD" else body)


async def serve_http(judge: Judge, socket: Path) -> None:
    """Answer on a Unix socket until cancelled."""
    server = await asyncio.get_running_loop().create_unix_server(lambda: ExtAuthz(judge), str(socket), backlog=1024)
    async with server:
        await server.serve_forever()
