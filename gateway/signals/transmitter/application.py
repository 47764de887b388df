"""The transmitter over HTTP (SSF sections 7.1 and 8.1, RFC 8936): bounded bodies, bounded time, right statuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, Final, Literal

import msgspec
import structlog
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.bounded import TooLarge, read_bounded
from gateway.json_body import read_json
from gateway.signals.transmitter.configuration import shown
from gateway.signals.transmitter.metadata import metadata
from gateway.signals.transmitter.poll import read_poll
from gateway.signals.transmitter.store import TransmitterUnwritable
from gateway.signals.transmitter.stream import UNKNOWN, Refused, Stream
from gateway.signals.transmitter.subjects import is_subject
from gateway.signals.transmitter.transmitter import Transmitter

LARGEST: Final = 256 * 1024  # bytes of a body
_BODY_SECONDS: Final = 10.0  # for a body to arrive
_LONGEST: Final = 1024  # characters of a state or a reason
_NOT_KEPT = {"cache-control": "no-store"}
_ANSWERS = Counter("portcullis_gateway_signals_requests_total", "Requests of receivers", ["endpoint", "status"])
_log = structlog.get_logger()

Identify = Callable[[Headers], Awaitable[str | None]]
Answer = Response | Refused
Handler = Callable[[Request, str], Awaitable[Answer]]


def transmitter_application(transmitter: Transmitter, identify: Identify) -> Starlette:
    """The ASGI application. `identify` tells from a request's headers which configured receiver it is, if any."""
    api = _Api(transmitter)
    handlers: tuple[tuple[str, str, Handler], ...] = (
        ("POST", "/ssf/streams", api.create),
        ("GET", "/ssf/streams", api.read),
        ("PATCH", "/ssf/streams", partial(api.update, replace=False)),
        ("PUT", "/ssf/streams", partial(api.update, replace=True)),
        ("DELETE", "/ssf/streams", api.delete),
        ("GET", "/ssf/status", api.status),
        ("POST", "/ssf/status", api.set_status),
        ("POST", "/ssf/subjects:add", partial(api.subject, verb="add")),
        ("POST", "/ssf/subjects:remove", partial(api.subject, verb="remove")),
        ("POST", "/ssf/verify", api.verify),
        ("POST", "/ssf/poll/{stream_id}", api.poll),
    )
    known = transmitter.rules.receivers
    by_path: dict[str, dict[str, Handler]] = {}
    for method, path, handler in handlers:
        by_path.setdefault(path, {})[method] = handler
    routes = [Route("/ssf/configuration", api.metadata, methods=["GET"])]
    for path, methods in by_path.items():
        routes.append(Route(path, _guarded(path, methods, identify, known), methods=[*methods]))
    return Starlette(routes=routes)


class _Api:
    """One method for each thing that a receiver may ask. `who` is the receiver."""

    def __init__(self, transmitter: Transmitter) -> None:
        self._transmitter = transmitter
        self._rules = transmitter.rules

    async def metadata(self, _: Request) -> Response:
        return Response(msgspec.json.encode(metadata(self._transmitter.settings)), media_type="application/json")

    async def create(self, request: Request, who: str) -> Answer:
        body = await _object(request)
        if isinstance(body, Refused):
            return body
        stream = await self._transmitter.do(lambda store: self._rules.create(store, who, body))
        return stream if isinstance(stream, Refused) else _json(self._shown(stream), 201)

    async def read(self, request: Request, who: str) -> Answer:
        name = request.query_params.get("stream_id")
        if name is None:
            streams = await self._transmitter.do(lambda store: store.streams(who))
            return _json([self._shown(stream) for stream in streams])
        stream = await self._transmitter.do(lambda store: store.stream(name, who))
        return UNKNOWN if stream is None else _json(self._shown(stream))

    async def update(self, request: Request, who: str, *, replace: bool) -> Answer:
        body = await _of_stream(request)
        if isinstance(body, Refused):
            return body
        stream = await self._transmitter.do(
            lambda store: self._rules.update(store, who, body["stream_id"], body, replace=replace)
        )
        return stream if isinstance(stream, Refused) else _json(self._shown(stream))

    async def delete(self, request: Request, who: str) -> Answer:
        name = request.query_params.get("stream_id", "")
        refused = await self._transmitter.do(lambda store: self._rules.delete(store, who, name))
        return refused or _nothing(204)

    async def status(self, request: Request, who: str) -> Answer:
        name = request.query_params.get("stream_id", "")
        stream = await self._transmitter.do(lambda store: store.stream(name, who))
        return UNKNOWN if stream is None else _json(_status(stream))

    async def set_status(self, request: Request, who: str) -> Answer:
        body = await _of_stream(request)
        if isinstance(body, Refused):
            return body
        status, reason = body.get("status"), body.get("reason", "")
        if status not in ("enabled", "paused", "disabled"):
            return Refused(400, "status must be enabled, paused or disabled")
        if not _is_text(reason):
            return Refused(400, f"reason must be a text of at most {_LONGEST} characters")
        name = body["stream_id"]
        stream = await self._transmitter.do(lambda store: self._rules.set_status(store, who, name, status, reason))
        return stream if isinstance(stream, Refused) else _json(_status(stream))

    async def subject(self, request: Request, who: str, *, verb: Literal["add", "remove"]) -> Answer:
        body = await _of_stream(request)
        if isinstance(body, Refused):
            return body
        subject = body.get("subject")
        if not is_subject(subject) or not isinstance(body.get("verified", True), bool):
            return Refused(400, "subject must be a subject identifier, and verified true or false")
        rule = self._rules.add_subject if verb == "add" else self._rules.remove_subject
        refused = await self._transmitter.do(lambda store: rule(store, who, body["stream_id"], subject))
        return refused or _nothing(200 if verb == "add" else 204)

    async def verify(self, request: Request, who: str) -> Answer:
        body = await _of_stream(request)
        if isinstance(body, Refused):
            return body
        name, now = body["stream_id"], self._transmitter.clock()
        state: str | None = body.get("state")
        if state is not None and not _is_text(state):
            return Refused(400, f"state must be a text of at most {_LONGEST} characters")
        refused = await self._transmitter.do(lambda store: self._rules.verify(store, who, name, state, now))
        return refused or _nothing(204)

    async def poll(self, request: Request, who: str) -> Answer:
        body = await _object(request)
        asked = body if isinstance(body, Refused) else read_poll(body)
        if isinstance(asked, Refused):
            return asked
        answer = await self._transmitter.poll(who, request.path_params["stream_id"], asked)
        if isinstance(answer, Refused):
            return answer
        tokens, more = answer
        return _json({"sets": tokens} | ({"moreAvailable": True} if more else {}))

    def _shown(self, stream: Stream) -> dict[str, Any]:
        return shown(stream, self._rules.receivers[stream.receiver], self._rules.issuer)


def _guarded(
    path: str, methods: dict[str, Handler], identify: Identify, known: Collection[str]
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            who = await identify(request.headers)
            handler = methods.get(request.method) or methods["GET"]
            stranger = Refused(401, "who asks is no receiver")
            answered = await handler(request, who) if who is not None and who in known else stranger
        except ClientDisconnect:
            answered = Refused(400, "the body ended early")
        except TransmitterUnwritable:
            answered = Refused(503, "try again later")
        except Exception:
            _log.exception("a receiver was not answered", path=path)
            answered = Refused(503, "try again later")
        response = _refusal(answered) if isinstance(answered, Refused) else answered
        _ANSWERS.labels(path, response.status_code).inc()
        return response

    return answer


async def _object(request: Request) -> dict[str, Any] | Refused:
    """The JSON object of a body. A Content-Type is not asked for: the examples in SSF have none."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            value = read_json(await read_bounded(request.stream(), LARGEST))
    except TooLarge:
        return Refused(413, f"the body has more than {LARGEST} bytes")
    except TimeoutError:
        return Refused(408, "the body took too long")
    except ValueError:
        return Refused(400, "the body is no JSON that everybody reads alike")
    return value if isinstance(value, dict) else Refused(400, "the body is no object")


async def _of_stream(request: Request) -> dict[str, Any] | Refused:
    """The object of a body that names a stream."""
    body = await _object(request)
    if isinstance(body, Refused) or isinstance(body.get("stream_id"), str):
        return body
    return Refused(400, "stream_id is missing, or no text")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _status(stream: Stream) -> dict[str, str]:
    reason = {"reason": stream.reason} if stream.reason else {}
    return {"stream_id": stream.id, "status": stream.status, **reason}


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, _NOT_KEPT, "application/json")


def _nothing(status: int) -> Response:
    return Response(b"", status, _NOT_KEPT)


def _refusal(refused: Refused) -> Response:
    challenge = {"www-authenticate": "Bearer"} if refused.status == 401 else {}
    said = {"err": "authentication_failed" if challenge else "invalid_request", "description": refused.description}
    return Response(msgspec.json.encode(said), refused.status, {**_NOT_KEPT, **challenge}, "application/json")
