"""The endpoints for signals: security events pushed to us (RFC 8935), and back-channel logouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.bounded import TooLarge, read_bounded
from gateway.identity import jws
from gateway.signals.deliveries import Unavailable
from gateway.signals.logout import Logouts
from gateway.signals.logout_token import LogoutError
from gateway.signals.receiver import Outcome, Receiver
from gateway.signals.security_event_token import LONGEST, SetError

_SET: Final = "application/secevent+jwt"
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 16
_LARGEST_FORM: Final = 2 * jws.LONGEST  # bytes
_NOT_KEPT: Final = {"cache-control": "no-store"}
_log = structlog.get_logger()


def signals_application(receiver: Receiver, logouts: Logouts) -> Starlette:
    """The ASGI application with both endpoints."""

    async def events(request: Request) -> Response:
        try:
            outcome = await _pushed(request, receiver)
        except ClientDisconnect:
            outcome = SetError("invalid_request", "the body ended early")
        except Unavailable as reason:
            return _later(str(reason))
        except Exception:
            _log.exception("a pushed event was not answered")
            return _later("try again later")
        return _refused(outcome) if isinstance(outcome, SetError) else Response(status_code=202, headers=_NOT_KEPT)

    async def logout(request: Request) -> Response:
        try:
            error = await _logged_out(request, logouts)
        except ClientDisconnect:
            error = LogoutError("the body ended early")
        except Exception:
            _log.exception("a logout token was not answered")
            error = LogoutError("try again later")
        if error is None:
            return Response(status_code=200, headers=_NOT_KEPT)
        said = {"error": "invalid_request", "error_description": error.description}
        return _json(said, 400)

    routes = [Route("/events", events, methods=["POST"]), Route("/logout", logout, methods=["POST"])]
    return Starlette(routes=routes)


async def _pushed(request: Request, receiver: Receiver) -> Outcome:
    if _media_type(request) != _SET:
        return SetError("invalid_request", f"Content-Type must be {_SET}")
    authorizations = request.headers.getlist("authorization")
    try:
        token = (await read_bounded(request.stream(), LONGEST)).decode("ascii")
    except TooLarge:
        return SetError("invalid_request", f"the body has more than {LONGEST} bytes")
    except UnicodeDecodeError:
        return SetError("invalid_request", "the body is no token")
    return await receiver.pushed(token, authorizations[0] if len(authorizations) == 1 else "")


async def _logged_out(request: Request, logouts: Logouts) -> LogoutError | None:
    if _media_type(request) != _FORM:
        return LogoutError(f"Content-Type must be {_FORM}")
    try:
        body = await read_bounded(request.stream(), _LARGEST_FORM)
        fields = parse_qsl(body.decode("ascii"), True, True, errors="strict", max_num_fields=_MOST_FIELDS)
    except TooLarge:
        return LogoutError(f"the body has more than {_LARGEST_FORM} bytes")
    except ValueError:
        return LogoutError("the body is no form")
    tokens = [value for name, value in fields if name == "logout_token"]
    return await logouts.receive(tokens[0]) if len(tokens) == 1 else LogoutError("there must be one logout_token")


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refused(error: SetError) -> Response:
    """RFC 8935 section 2.3; a transmitter that should show a bearer token is told so (RFC 6750 section 3)."""
    said = {"err": error.err, "description": error.description}
    asked = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    return _json(said, error.status, {"content-language": "en", **asked})


def _later(why: str) -> Response:
    """It is ours to blame: a transmitter sends again what was answered so (RFC 8935 section 2)."""
    return Response(why, 503, {**_NOT_KEPT, "retry-after": "1"}, "text/plain")


def _json(value: Mapping[str, str], status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, {**_NOT_KEPT, **(headers or {})}, "application/json")
