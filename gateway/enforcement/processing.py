"""The tether's messages (`envoy.service.ext_proc.v3`): what Envoy tells of a stream, and what it is answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ImmediateResponse,
    ProcessingRequest,
    ProcessingResponse,
)
from envoy.type.v3.http_status_pb2 import HttpStatus
from google.protobuf.struct_pb2 import Struct, Value
from msgspec.structs import replace

from gateway.enforcement.address import DIRECT, Proxies, read_address
from gateway.enforcement.attempt import CREDENTIAL_HEADERS, NOTHING, UNREAD, Answer, Attempt, request_of
from gateway.enforcement.ext_authz_grpc import OVERWRITE, refusal_headers
from gateway.identity import Credentials, Refusal, client_certificate

_METADATA = "envoy.filters.http.ext_proc"
_PEER_DIGEST = "connection.sha256_peer_certificate_digest"  # in hexadecimal
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


def mesh_attempt_of(message: ProcessingRequest, scheme: str = "https") -> Attempt:
    """The attempt in the first message of another Envoy's stream. Address and certificate are that Envoy's own view of
    its peer (`request_attributes`), never what a header claims alone. Raises ValueError where it does not say them.
    """
    said = {name: value for told in message.attributes.values() for name, value in told.fields.items()}
    address = read_address(said["source.address"].string_value) if "source.address" in said else None
    if address is None:
        raise ValueError("source.address is not among request_attributes")
    attempt = attempt_of(message, scheme=scheme)
    credentials = attempt.credentials
    if credentials.client_certificate and not _is_of(credentials.client_certificate, _text(said, _PEER_DIGEST)):
        credentials = replace(credentials, client_certificate="")
    return replace(attempt, address=str(address), credentials=credentials)


def _text(said: Mapping[str, Value], name: str) -> str:
    return said[name].string_value if name in said else ""


def _is_of(header: str, digest: str) -> bool:
    """Whether x-forwarded-client-cert shows the certificate of the peer itself."""
    certificate = client_certificate.parse(header)
    return not isinstance(certificate, Refusal) and certificate.sha256.hex() == digest.lower()


def _joined(lines: Iterable[HeaderValue]) -> dict[str, str]:
    """The headers by name. Repeated lines are joined as our module joins them, so that both see the same request."""
    headers: dict[str, str] = {}
    for line in lines:
        value = line.raw_value.decode("latin-1") if line.raw_value else line.value
        earlier = headers.get(line.key)
        headers[line.key] = value if earlier is None else f"{earlier},{value}"
    return headers


def admission(answer: Answer, address: str = "", claimed: Iterable[str] = ()) -> ProcessingResponse:
    """Let the stream start, with our identity headers in place of the caller's token.

    `address`, where given, is what upstream and access log learn as the caller's; `claimed` are the caller's headers
    that stay here beside its proofs.
    """
    headers = {**dict(answer.upstream()), **_told(address)}
    removed = [*CREDENTIAL_HEADERS, *(name for name in claimed if name not in headers)]
    mutation = HeaderMutation(set_headers=_options(headers.items()), remove_headers=removed)
    common = CommonResponse(header_mutation=mutation)
    metadata = _metadata(answer, address)
    return ProcessingResponse(request_headers=HeadersResponse(response=common), dynamic_metadata=metadata)


def refusal(answer: Answer, address: str = "") -> ProcessingResponse:
    """Refuse the stream before its response headers, as a proper answer; `address` as with `admission`."""
    immediate = ImmediateResponse(
        status=HttpStatus(code=answer.status),
        headers=HeaderMutation(set_headers=_options(refusal_headers(answer))),
        body=answer.body(),
        details="portcullis_refused",
    )
    return ProcessingResponse(immediate_response=immediate, dynamic_metadata=_metadata(answer, address))


def _options(headers: Iterable[tuple[str, str]]) -> list[HeaderValueOption]:
    """Headers that overwrite whatever of that name was there. Envoy's ext_proc reads `raw_value` alone."""
    return [
        HeaderValueOption(header=HeaderValue(key=name, raw_value=value.encode()), append_action=OVERWRITE)
        for name, value in headers
    ]


def _metadata(answer: Answer, address: str) -> Struct:
    metadata = Struct()
    judged = {"x-portcullis-effect": answer.effect, "x-portcullis-route": answer.route}
    metadata.update({_METADATA: {**dict(answer.identity()), **judged, **_told(address)}})
    return metadata


def _told(address: str) -> dict[str, str]:
    return {"x-forwarded-for": address} if address else {}
