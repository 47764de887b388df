"""Hostile protobuf where a mesh asks (CheckRequest) and where the edge tethers a stream (ProcessingRequest)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.enforcement import Attempt, Authorization, ext_authz_grpc, processing
from gateway.identity import Refusal, UnknownKey
from tests.gateway.parts import Bank

bank = cache(Bank)
Parse = Callable[[bytes], Attempt]


def checked(data: bytes) -> Attempt:
    return ext_authz_grpc.attempt_of(CheckRequest.FromString(data))


def tethered(data: bytes) -> Attempt:
    return processing.attempt_of(ProcessingRequest.FromString(data))


@cache
def good_check() -> bytes:
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host, http.body = "GET", "/accounts/1001", "bank", '{"amount":5}'
    http.headers["authorization"] = f"Bearer {bank().token()}"
    request.attributes.source.address.socket_address.address = "10.0.0.5"
    return bytes(request.SerializeToString())


@cache
def good_tether() -> bytes:
    message = ProcessingRequest()
    told = {":method": "GET", ":path": "/streams/1001", ":authority": "bank", "x-forwarded-for": "10.0.0.5"}
    for name, value in (told | {"authorization": f"Bearer {bank().token()}"}).items():
        message.request_headers.headers.headers.add(key=name, raw_value=value.encode())
    return bytes(message.SerializeToString())


BOTH = pytest.mark.parametrize(
    ("parse", "good"), [(checked, good_check), (tethered, good_tether)], ids=["check", "tether"]
)


def check(parse: Parse, data: bytes) -> None:
    try:
        attempt = parse(data)
    except (DecodeError, UnicodeDecodeError):
        return  # gRPC answers it, the servicer never sees it
    assert all(isinstance(text, str) for text in (attempt.method, attempt.target, attempt.host, attempt.address))
    assert isinstance(attempt.body, bytes)
    answer = bank().judge.at_once(attempt)
    assert answer is None or answer.status in (400, 401, 403)


@BOTH
@given(data=st.binary(max_size=300))
def test_any_bytes(parse: Parse, good: Callable[[], bytes], data: bytes) -> None:
    """Whatever protobuf accepts is an attempt, and none that came from nowhere is allowed or fails inside."""
    check(parse, data)


@BOTH
@given(at=st.integers(0, 2000), damage=st.binary(max_size=6), removed=st.integers(0, 6))
def test_a_good_message_damaged(parse: Parse, good: Callable[[], bytes], at: int, damage: bytes, removed: int) -> None:
    """The same near a good message; its own token is unknown here, so that it, too, is never allowed at once."""
    data, at = good(), at % len(good())
    check(parse, data[:at] + damage + data[at + removed :])


names = st.sampled_from(
    [":path", ":method", ":authority", "authorization", "x-forwarded-for", "x-forwarded-client-cert"]
)


@given(st.lists(st.tuples(names, st.binary(max_size=20) | st.text(max_size=20)), max_size=8))
def test_any_headers_of_a_stream(headers: list[tuple[str, bytes | str]]) -> None:
    """Headers of any bytes, repeated or empty, are an attempt; repeated credentials are never one good credential."""
    message = ProcessingRequest()
    for name, value in headers:
        field = {"raw_value": value} if isinstance(value, bytes) else {"value": value}
        message.request_headers.headers.headers.add(key=name, **field)
    attempt = processing.attempt_of(message)
    assert isinstance(bank().identifier.identify(attempt.credentials, 1.0), Refusal | UnknownKey)
    answer = bank().judge.at_once(attempt)
    assert answer is None or answer.status in (400, 401, 403)


@given(st.dictionaries(names, st.text(max_size=30)), st.text(max_size=20), st.binary(max_size=20), st.text(max_size=20))
def test_any_answer_to_a_check_can_be_sent(headers: dict[str, str], path: str, raw: bytes, address: str) -> None:
    """Every CheckRequest is answered with a CheckResponse that is no permit, or not at all where a key is missing."""
    request: Any = CheckRequest()
    request.attributes.request.http.headers.update(headers)
    request.attributes.request.http.path, request.attributes.request.http.raw_body = path, raw
    request.attributes.source.address.socket_address.address = address
    sent: list[CheckResponse] = []

    async def asked() -> None:
        answered = asyncio.Event()

        def send(stream: int, content: bytes, last: bool) -> None:
            sent.append(CheckResponse.FromString(content))
            answered.set()

        connection: Any = SimpleNamespace(send=send, abort=lambda *_: answered.set(), flush=lambda: None)
        Authorization(bank().judge, list, connection).message(1, request.SerializeToString())
        await asyncio.wait_for(answered.wait(), 5)

    asyncio.run(asked())
    assert [answer.status.code != 0 for answer in sent] == [True]
