"""ext_authz over gRPC (`envoy.service.auth.v3.Authorization`): the enforcement point that every mesh can ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse, OkHttpResponse
from google.protobuf.message import DecodeError
from prometheus_client import Counter

from gateway.enforcement.attempt import CREDENTIAL_HEADERS, UNKNOWN, UNREAD, Answer, Attempt, Content, request_of
from gateway.enforcement.grpc_connection import UNREADABLE, GrpcConnection
from gateway.enforcement.http2 import INTERNAL, INVALID_ARGUMENT
from gateway.enforcement.judge import Judge, refusal_id
from gateway.identity import Credentials

_log = structlog.get_logger()
_NOT_HELD = Counter("portcullis_gateway_not_held_total", "Streams refused because their Envoy asked without a tether")
OVERWRITE: Final = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
METHOD: Final = "/envoy.service.auth.v3.Authorization/Check"
_OK, _PERMISSION_DENIED = 0, 7  # google.rpc.Code
_PARTIAL = "x-envoy-auth-partial-body"  # "true" where Envoy showed the beginning; its "false" may be the caller's own


class Authorization:
    """One connection's checks; `claims` finds those of a request's headers in which a caller claims to be somebody."""

    def __init__(self, judge: Judge, claims: Callable[[Iterable[str]], list[str]], connection: GrpcConnection) -> None:
        self._judge = judge
        self._claims = claims
        self._connection = connection
        self._asking: dict[int, asyncio.Task[None]] = {}

    def message(self, stream: int, content: bytes) -> None:
        """Answer one request's attributes."""
        try:
            if stream in self._asking:
                raise ValueError("a call has one message")
            self._check(stream, CheckRequest.FromString(content))
        except (DecodeError, ValueError) as error:
            self._end(stream, INVALID_ARGUMENT, str(error))
        except Exception:
            _log.exception("a check failed, refused")
            self._end(stream, INTERNAL, "unavailable")

    def finished(self, stream: int) -> None:
        """Envoy has asked: what it asked is being answered, or it said nothing."""
        if stream not in self._asking:
            self._end(stream, INVALID_ARGUMENT, "a call without a message")

    def over(self, stream: int) -> None:
        """Envoy waits no longer."""
        if (task := self._asking.pop(stream, None)) is not None:
            task.cancel()

    def close(self) -> None:
        """Nobody waits."""
        for stream in tuple(self._asking):
            self.over(stream)

    def _check(self, stream: int, request: CheckRequest) -> None:
        headers = request.attributes.request.http.headers
        if "upgrade" in headers:  # to a WebSocket; Istio lets it pass on every route
            self._answer(stream, _not_held(refusal_id()), [])
            return
        attempt, claimed = attempt_of(request, self._judge.scheme), self._claims(headers)
        answer = self._judge.at_once(attempt)
        if answer is not None:
            self._answer(stream, answer, claimed)
        else:
            later = self._later(stream, attempt, claimed)
            self._asking[stream] = asyncio.get_running_loop().create_task(later)

    async def _later(self, stream: int, attempt: Attempt, claimed: list[str]) -> None:
        answer = await self._judge.ask(attempt)
        del self._asking[stream]
        self._answer(stream, answer, claimed)
        self._connection.flush()

    def _answer(self, stream: int, answer: Answer, claimed: list[str]) -> None:
        if answer.request is not None and answer.request.stream and answer.allowed:
            answer = _not_held(answer.id)
        self._connection.send(stream, response(answer, claimed).SerializeToString(), last=True)

    def _end(self, stream: int, status: int, why: str) -> None:
        UNREADABLE.inc()
        self.over(stream)
        self._connection.abort(stream, status, why)


def _not_held(identifier: str) -> Answer:
    """What lives on after its request must be cut when that is due: with no tether, nothing could."""
    _NOT_HELD.inc()
    return Answer(403, identifier, "deny", ("not_held",))


def attempt_of(request: CheckRequest, scheme: str = "https") -> Attempt:
    """The attempt that a CheckRequest describes. Address and certificate are the mesh's own view of its peer
    (`include_peer_certificate`), never what a header claims.
    """
    http = request.attributes.request.http
    body, shown = http.raw_body or http.body.encode(), request.attributes.source.certificate

    def get(name: str) -> str:
        return str(http.headers.get(name, ""))

    proves = "dpop" in http.headers or "signature-input" in http.headers
    asked = request_of(get, http.method, scheme, http.host, http.path, _content(http, body)) if proves else None
    return Attempt(
        method=http.method,
        target=http.path,
        host=http.host,
        address=request.attributes.source.address.socket_address.address,
        credentials=Credentials(get("authorization"), f'Cert="{shown}"' if shown else "", get("dpop"), asked),
        body=body,
    )


def _content(http: AttributeContext.HttpRequest, body: bytes) -> Content:
    """What a mesh showed of a request's content (`with_request_body`). Where it showed none, headers and the bytes that
    have come so far may still say that there is some. That they do not proves nothing: HTTP/2 needs neither.
    """
    length = http.headers.get("content-length", "")
    chunked = not body and "transfer-encoding" in http.headers
    if chunked or length not in ("", str(len(body))) or http.size > len(body) or http.headers.get(_PARTIAL) == "true":
        return UNREAD
    return Content(body) if body or length else UNKNOWN


def response(answer: Answer, claimed: Iterable[str] = ()) -> CheckResponse:
    """The CheckResponse for an answer; identity goes to the access log as dynamic metadata. `claimed`: the caller's
    headers that stay here beside its proofs.
    """
    built = CheckResponse()  # filled in place: to compose it from its parts copies each, and takes three times as long
    told = built.dynamic_metadata.fields
    for name, value in (*answer.identity(), ("x-portcullis-effect", answer.effect)):
        told[name].string_value = value
    if answer.allowed:
        built.status.code = _OK
        _allow(built.ok_response, dict(answer.upstream()), claimed)
    else:
        built.status.code = _PERMISSION_DENIED
        _set(built.denied_response.headers, refusal_headers(answer))
        built.denied_response.status.code = answer.status
        built.denied_response.body = answer.body().decode()
    return built


def _allow(allowed: OkHttpResponse, told: dict[str, str], claimed: Iterable[str]) -> None:
    _set(allowed.headers, told.items())
    allowed.headers_to_remove.extend(CREDENTIAL_HEADERS)
    allowed.headers_to_remove.extend(name for name in claimed if name not in told)  # Envoy removes after it sets


def refusal_headers(answer: Answer) -> list[tuple[str, str]]:
    """What the caller of a refused request sees beside the body."""
    told = [("www-authenticate", answer.challenge), ("dpop-nonce", answer.nonce)]
    challenge = [(name, value) for name, value in told if value]
    return [("content-type", "application/json"), ("x-portcullis-decision", answer.id), *challenge]


def _set(into: Any, headers: Iterable[tuple[str, str]]) -> None:
    """Headers that overwrite whatever of that name was there. Envoy's ext_authz reads `value` alone: with `raw_value`,
    upstream and caller get empty ones (seen with 1.40).
    """
    for name, value in headers:
        header = into.add(append_action=OVERWRITE).header
        header.key, header.value = name, value
