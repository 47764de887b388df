"""Hostile evaluations of other enforcement points: each is an access request that can be judged, or a bad request."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.decision_api.evaluation import access_request
from gateway.decision_api.refused import Refused
from gateway.json_body import read_json
from policy import AccessRequest, Pdp, decode_json, embedded_pdp, read_bundle

NOW = 1_700_000_000.0
texts = st.text(max_size=6) | st.sampled_from(["user", "agent", "workload", "a/b", "..", "/a?b", "/a/%2e", "agent:x"])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
names = st.sampled_from(
    [
        *("type", "id", "name", "properties", "issuer", "actors", "proof", "assurance", "authenticated", "scopes"),
        *("roles", "time", "address", "ip", "host"),
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | texts, inner, max_size=4),
    max_leaves=8,
)


def entity(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Most of what is right, some of it wrong."""
    parts: dict[str, Any] = {"type": texts, "id": texts, "name": texts}
    optional: dict[str, Any] = {"properties": st.dictionaries(names, values, max_size=4), "more": values}
    return st.fixed_dictionaries(parts, optional=optional)


evaluations = st.fixed_dictionaries(
    {
        "subject": entity("subject") | values,
        "action": entity("action") | values,
        "resource": entity("resource") | values,
    },
    optional={"context": st.dictionaries(names, values, max_size=3) | values},
)


@cache
def pdp() -> Pdp:
    return embedded_pdp(read_bundle())


@given(evaluations)
@example({"subject": {"type": "user", "id": "a"}, "action": {"name": "GET"}, "resource": {"type": "r", "id": "\ud800"}})
@example(
    {"subject": {"type": "user", "id": "a"}, "action": {"name": "GET"}, "resource": {"type": "r", "id": "/\ud800"}}
)
def test_any_evaluation(evaluation: dict[str, Any]) -> None:
    """Whatever is no bad request can be judged: never an error of ours, and nobody is let in who is not known."""
    try:
        request = access_request(decode_json(json.dumps(evaluation)), NOW)
    except Refused as refused:
        status, message = refused.status, refused.message
    else:
        status, message = 200, ""
        check(request)
    assert status == 200 or (status == 400 and message)


def check(request: AccessRequest) -> None:
    decision = pdp().decide(request)
    assert decision.reasons != ("policy_error",)
    assert not decision.allowed
    assert request.path.startswith("/")
    assert "/../" not in request.path + "/"
    assert request.principal.id.partition(":")[0] == request.principal.kind


@given(texts, texts)
def test_an_identifier_that_is_no_path_is_one_segment_and_no_two_are_the_same(first: str, second: str) -> None:
    def path(identifier: str) -> str:
        resource = {"type": "r", "id": identifier}
        return access_request({"subject": SUBJECT, "action": {"name": "GET"}, "resource": resource}, NOW).path

    try:
        one, other = path(first), path(second)
    except Refused:
        return
    if not first.startswith("/"):
        assert one.count("/") == 2
        assert (one == other) == (first == second)


SUBJECT = {"type": "user", "id": "alice"}


@given(st.binary(max_size=80))
@example(b'{"a": 1, "a": 2}')
@example(b'{"a": {"b": 1, "\\u0062": 2}}')
@example(b'{"a": "\\ud83d\\ude00"}')
@example(b'{"a": "\\ud83d"}')
@example(b"[" * 5_000)
@example(b"9" * 5_000)
@example(b"\xef\xbb\xbf1")
def test_any_bytes_have_one_value_or_none(body: bytes) -> None:
    """What is read is what every other reader sees."""
    try:
        value = read_json(body)
    except ValueError:
        return
    assert json.loads(json.dumps(value, default=float)) == json.loads(body)
