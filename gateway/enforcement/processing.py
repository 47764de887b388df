"""The tether's messages (`envoy.service.ext_proc.v3`): what Envoy tells of a stream, and what it is answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

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
from gateway.identity import Credentials

_METADATA = "envoy.filters.http.ext_proc"
TRAILERS_SEEN: Final = ProcessingResponse(response_trailers={}).SerializeToString()


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
    judged = {"x-portcullis-effect": answer.effect, "x-portcullis-route": answer.route}
    metadata.update({_METADATA: {**dict(answer.identity()), **judged, **_told(address)}})
    return metadata


def _told(address: str) -> dict[str, str]:
    return {"x-forwarded-for": address} if address else {}
