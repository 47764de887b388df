"""The token endpoint over HTTP (RFC 6749 section 3.2, RFC 8693 section 2): forms in, tokens or errors out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.bounded import TooLarge, read_bounded
from gateway.token_service.issued import ExchangeError, Issued, Parties
from gateway.token_service.request import ACCESS_TOKEN, ExchangeRequest, read_request

PATH: Final = "/token"
_LARGEST = 65_536  # bytes of a form: two tokens of the longest kind, escaped, and the rest
_FORM = "application/x-www-form-urlencoded"
_NOT_KEPT = {"cache-control": "no-store", "pragma": "no-cache"}  # RFC 6749 section 5.1
_ANSWERS = Counter("portcullis_gateway_token_exchanges_total", "Token exchanges", ["result"])
_log = structlog.get_logger()

Identify = Callable[[ExchangeRequest, Headers, bytes], Awaitable[Parties | ExchangeError]]
Exchange = Callable[[ExchangeRequest, Parties], Issued | ExchangeError]
Sign = Callable[[Issued], str]


def token_application(identify: Identify, exchange: Exchange, sign: Sign) -> Starlette:
    """The ASGI application with the token endpoint. `identify` verifies the tokens of a request and what its headers
    prove of its sender and of its body; `exchange` judges; `sign` makes the token of what it grants.
    """

    async def answer(request: Request) -> Response:
        try:
            answered = await _answered(request, identify, exchange, sign)
        except ClientDisconnect:
            answered = ExchangeError("invalid_request", "the body ended early")
        except Exception:
            _log.exception("a token exchange was not answered")
            answered = ExchangeError("temporarily_unavailable", "try again later")
        if isinstance(answered, ExchangeError):
            _ANSWERS.labels(answered.error).inc()
            return _refusal(answered)
        _ANSWERS.labels("issued").inc()
        return _json(answered, 200, {})

    return Starlette(routes=[Route(PATH, answer, methods=["POST"])])


async def _answered(
    http: Request, identify: Identify, exchange: Exchange, sign: Sign
) -> Mapping[str, Any] | ExchangeError:
    body = await _body(http)
    if isinstance(body, ExchangeError):
        return body
    request = read_request(body)
    if isinstance(request, ExchangeError):
        return request
    parties = await identify(request, http.headers, body)
    if isinstance(parties, ExchangeError):
        return parties
    issued = exchange(request, parties)
    if isinstance(issued, ExchangeError):
        return issued
    return {
        "access_token": sign(issued),
        "issued_token_type": ACCESS_TOKEN,
        "token_type": issued.token_type,
        "expires_in": issued.seconds,
        "scope": issued.scope,
    }


async def _body(http: Request) -> bytes | ExchangeError:
    if http.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return ExchangeError("invalid_request", f"Content-Type must be {_FORM}")
    if http.url.query:
        return ExchangeError("invalid_request", "parameters belong into the body")  # RFC 6749 section 2.3.1
    try:
        return await read_bounded(http.stream(), _LARGEST)
    except TooLarge:
        return ExchangeError("invalid_request", f"the body has more than {_LARGEST} bytes")


def _refusal(refused: ExchangeError) -> Response:
    said = {"error": refused.error, "error_description": refused.description}
    return _json(said, refused.status, refused.headers)


def _json(value: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> Response:
    return Response(msgspec.json.encode(value), status, {**_NOT_KEPT, **headers}, "application/json")
