"""ext_authz over gRPC (`envoy.service.auth.v3.Authorization`): the enforcement point that every mesh can ask."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse
from envoy.type.v3.http_status_pb2 import HttpStatus
from google.protobuf.struct_pb2 import Struct
from google.rpc.status_pb2 import Status

from gateway.enforcement.attempt import CREDENTIAL_HEADERS, UNKNOWN, UNREAD, Answer, Attempt, Content, request_of
from gateway.enforcement.judge import Judge
from gateway.identity import Credentials

_PERMISSION_DENIED = 7  # google.rpc.Code
_PARTIAL = "x-envoy-auth-partial-body"  # "true" where Envoy showed the beginning; its "false" may be the caller's own


class Authorization:
    """The servicer."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    async def Check(self, request: CheckRequest, context: Any) -> CheckResponse:  # noqa: N802  # gRPC's name
        """Answer one request's attributes."""
        attempt = attempt_of(request, self._judge.scheme)
        return response(self._judge.at_once(attempt) or await self._judge.ask(attempt))


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


def response(answer: Answer) -> CheckResponse:
    """The CheckResponse for an answer; identity goes to the access log as dynamic metadata."""
    metadata = Struct()
    metadata.update({**dict(answer.identity()), "x-portcullis-effect": answer.effect})
    if answer.allowed:
        allowed = OkHttpResponse(headers=options(answer.upstream()), headers_to_remove=CREDENTIAL_HEADERS)
        return CheckResponse(status=Status(code=0), ok_response=allowed, dynamic_metadata=metadata)
    denied = DeniedHttpResponse(
        status=HttpStatus(code=answer.status), headers=options(refusal_headers(answer)), body=answer.body().decode()
    )
    return CheckResponse(status=Status(code=_PERMISSION_DENIED), denied_response=denied, dynamic_metadata=metadata)


def refusal_headers(answer: Answer) -> list[tuple[str, str]]:
    """What the caller of a refused request sees beside the body."""
    told = [("www-authenticate", answer.challenge), ("dpop-nonce", answer.nonce)]
    challenge = [(name, value) for name, value in told if value]
    return [("content-type", "application/json"), ("x-portcullis-decision", answer.id), *challenge]


def options(headers: Any) -> list[HeaderValueOption]:
    """Headers that overwrite whatever of that name was there."""
    overwrite = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    return [
        HeaderValueOption(header=HeaderValue(key=name, raw_value=value.encode()), append_action=overwrite)
        for name, value in headers
    ]
