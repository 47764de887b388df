"""The part of CrowdSec's local API that bouncers use, over HTTP (its swagger description, version 1)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from defense_lines.lines.crowdsec.answer import Answer
from defense_lines.lines.crowdsec.bouncers import Bouncer, Bouncers, parsed
from defense_lines.lines.crowdsec.connection import Link
from defense_lines.lines.crowdsec.decision import SCOPES, TYPE, Changes, Filters

STREAM, DECISIONS, METRICS = "/v1/decisions/stream", "/v1/decisions", "/v1/usage-metrics"
TAKEN = 30.0  # seconds in which a bouncer has to take a piece of an answer
MAX_BODY = 256 * 1024  # bytes of usage metrics, which nobody reads
_ANSWERS = Counter("portcullis_defense_lines_bouncer_answers_total", "Answers to bouncers", ["path", "status"])
_log = structlog.get_logger()
_NOTHING = Changes(new=None, deleted=None)

Handler = Callable[[Request], Awaitable[Response]]


class BouncerApi:
    """The ASGI application. Whoever serves it puts the connection's `Link` in `state.link`."""

    def __init__(self, bouncers: Bouncers) -> None:
        self._bouncers = bouncers
        self._application = Starlette(
            routes=[
                Route(STREAM, _safe(self._stream), methods=["GET"]),
                Route(DECISIONS, _safe(self._decisions), methods=["GET"]),
                Route(METRICS, _safe(_discard), methods=["POST"]),
            ],
            exception_handlers={HTTPException: _nothing_there},
        )
        self._application.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer whoever shows a key; nothing else of a request matters before."""
        bouncer = self._bouncers.of(Headers(scope=scope).get("x-api-key", "").encode("latin-1"))
        scope["state"]["bouncer"] = bouncer
        await (self._application if bouncer else _forbidden(scope["path"]))(scope, receive, send)

    async def _stream(self, request: Request) -> Response:
        if request.method == "HEAD":
            return _json(_NOTHING)
        bouncer: Bouncer = request.state.bouncer
        link: Link = request.state.link
        asked = request.query_params
        told = await self._bouncers.poll(bouncer, link, Filters.of(asked), asked.get("startup") == "true")
        return _LongResponse(told, link) if isinstance(told, Answer) else _json(told or _NOTHING)

    async def _decisions(self, request: Request) -> Response:
        if request.method == "HEAD":
            return _json(None)
        bouncer: Bouncer = request.state.bouncer
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


class _LongResponse(Response):
    """An answer in pieces, each once the one before is on its way; a bouncer that takes none is cut."""

    media_type = "application/json"

    def __init__(self, answer: Answer, link: Link) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._answer = answer
        self._link = link

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._answer.pieces():
            if not self._link.open:
                return
            try:
                async with asyncio.timeout(TAKEN):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError:
                self._link.abort()
                return
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


_SCOPES = {scope.lower() for scope in SCOPES.values()}


async def _discard(request: Request) -> Response:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            return _message(413, f"at most {MAX_BODY} bytes")
    return Response(status_code=201)


def _safe(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            response = await handler(request)
        except ClientDisconnect:
            response = _message(400, "the body ended early")
        except Exception:
            _log.exception("a bouncer was not answered")
            response = _message(500, "internal error")
        return _counted(request.url.path, response)

    return answer


async def _nothing_there(request: Request, error: Exception) -> Response:
    known = error if isinstance(error, HTTPException) else HTTPException(404)
    response = _message(known.status_code, known.detail)
    response.headers.update(known.headers or {})
    return _closing(request.url.path, response)


def _forbidden(path: str) -> Response:
    return _closing(path, _message(403, "access forbidden"))


def _closing(path: str, response: Response) -> Response:
    response.headers["connection"] = "close"  # whoever has no business here keeps nobody's place
    return _counted(path, response)


def _counted(path: str, response: Response) -> Response:
    _ANSWERS.labels(path if path in (STREAM, DECISIONS, METRICS) else "other", str(response.status_code)).inc()
    return response


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _message(status: int, message: str) -> Response:
    return _json({"message": message}, status)
