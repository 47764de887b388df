"""What a body may be: nested, but not deeper than policy follows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import AccessRequest, Bundle, Principal, embedded_pdp, too_deep

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner))


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(JSON, st.integers(0, 5))
def test_too_deep_is_more_containers_in_one_another_than_the_limit(value: Any, limit: int) -> None:
    assert too_deep(value, limit) == (depth(value) > limit)


@pytest.mark.parametrize("bracket", ["[]", '{"a":}'])
def test_sixty_four_is_the_limit(bracket: str) -> None:
    opened, closed = bracket[:-1], bracket[-1]

    def nested(levels: int) -> Any:
        return msgspec.json.decode(opened * levels + "1" + closed * levels)

    assert not too_deep(nested(64))
    assert too_deep(nested(65))
    assert too_deep(nested(600))


def test_what_is_not_too_deep_can_be_judged() -> None:
    pdp = embedded_pdp(Bundle({"a.rego": 'package portcullis.access\n\ndecision := {"effect": "allow"}'}, {}))
    body: Any = 1
    for _ in range(64):
        body = {"a": [body]} if not too_deep({"a": [body]}) else body
    who = Principal(id="person:alice", kind="person", issuer="bank")
    assert pdp.decide(AccessRequest(principal=who, action="POST", service="s", path="/", body=body)).allowed
