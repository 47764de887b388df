"""The part of CrowdSec's local API that bouncers use, over HTTP (its swagger description, version 1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from defense_lines.lines.crowdsec.bouncers import Bouncer, Bouncers, parsed
from defense_lines.lines.crowdsec.connection import Link
from defense_lines.lines.crowdsec.decision import SCOPES, TYPE, Changes, Filters

MAX_BODY = 256 * 1024  # bytes of usage metrics, which nobody reads
_ANSWERS = Counter("portcullis_defense_lines_bouncer_answers_total", "Answers to bouncers", ["path", "status"])
_log = structlog.get_logger()
_NOTHING = Changes(new=None, deleted=None)

Handler = Callable[[Request, Bouncer], Awaitable[Response]]


class BouncerApi:
    """The ASGI application. Whoever serves it puts the connection's `Link` in `state.link`."""

    def __init__(self, bouncers: Bouncers) -> None:
        self._bouncers = bouncers
        self._application = Starlette(
            routes=[
                Route("/v1/decisions/stream", self._guarded(self._stream), methods=["GET"]),
                Route("/v1/decisions", self._guarded(self._decisions), methods=["GET"]),
                Route("/v1/usage-metrics", self._guarded(_discard), methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self._application(scope, receive, send)

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            bouncer = self._bouncers.of(request.headers.get("x-api-key", "").encode("latin-1"))
            try:
                response = await handler(request, bouncer) if bouncer else _forbidden()
            except ClientDisconnect:
                response = _message(400, "the body ended early")
            except Exception:
                _log.exception("a bouncer was not answered")
                response = _message(500, "internal error")
            _ANSWERS.labels(request.url.path, str(response.status_code)).inc()
            return response

        return answer

    async def _stream(self, request: Request, bouncer: Bouncer) -> Response:
        if request.method == "HEAD":
            return _json(_NOTHING)
        link: Link = request.state.link
        asked = request.query_params
        changes = await self._bouncers.poll(bouncer, link, Filters.of(asked), asked.get("startup") == "true")
        return _json(changes or _NOTHING)

    async def _decisions(self, request: Request, bouncer: Bouncer) -> Response:
        if request.method == "HEAD":
            return _json(None)
        asked = request.query_params
        text = asked.get("ip") or asked.get("range") or asked.get("value")
        if not text:
            return _message(400, "ask for an ip, a range or a value; all that stands is in the stream")
        if asked.get("contains") == "false":
            return _message(400, "only what contains an address or a range can be asked for")
        if asked.get("type", TYPE) != TYPE or asked.get("scope", "ip").lower() not in _SCOPES:
            return _json(None)
        try:
            network = parsed(text)
        except ValueError as error:
            return _message(400, str(error))
        exact = not (asked.get("ip") or asked.get("range"))
        return _json(self._bouncers.ask(bouncer, network, exact, Filters.of(asked)) or None)


_SCOPES = {scope.lower() for scope in SCOPES.values()}


async def _discard(request: Request, _: Bouncer) -> Response:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            return _message(413, f"at most {MAX_BODY} bytes")
    return Response(status_code=201)


def _forbidden() -> Response:
    response = _message(403, "access forbidden")
    response.headers["connection"] = "close"  # whoever has no key keeps nobody's place
    return response


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _message(status: int, message: str) -> Response:
    return _json({"message": message}, status)
