"""What a mesh tells of a request's content over gRPC, and what is made of it."""

from __future__ import annotations

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

from gateway.enforcement.ext_authz_grpc import attempt_of

PARTIAL = "x-envoy-auth-partial-body"


@pytest.mark.parametrize(
    ("headers", "body", "size", "known"),
    [
        ({}, b"", 0, (None, False)),
        ({}, b"", -1, (None, False)),
        ({PARTIAL: "false"}, b"", 0, (None, False)),
        ({"content-length": "0"}, b"", 0, (b"", False)),
        ({}, b"hello", 5, (b"hello", False)),
        ({PARTIAL: "false"}, b"hello", -1, (b"hello", False)),
        ({"content-length": "5"}, b"hello", 5, (b"hello", False)),
        ({"transfer-encoding": "chunked"}, b"hello", 5, (b"hello", False)),
        ({}, b"", 1, (None, True)),
        ({"content-length": "5"}, b"", 0, (None, True)),
        ({"content-length": "5"}, b"hell", 4, (None, True)),
        ({"content-length": "0"}, b"hello", 5, (None, True)),
        ({"content-length": "0,5"}, b"", 0, (None, True)),
        ({"transfer-encoding": "chunked"}, b"", 0, (None, True)),
        ({"transfer-encoding": "chunked", "content-length": "0"}, b"", 0, (None, True)),
        ({PARTIAL: "true"}, b"hello", 5, (None, True)),
        ({}, b"hello", 6, (None, True)),
    ],
)
def test_content_counts_as_read_only_where_all_of_it_is_there(
    headers: dict[str, str], body: bytes, size: int, known: tuple[bytes | None, bool]
) -> None:
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host, http.raw_body, http.size = "GET", "/accounts/1001", "bank", body, size
    http.headers.update({"signature-input": "x", **headers})
    message = attempt_of(request).credentials.request
    assert message is not None
    assert (message.body, message.unread) == known
