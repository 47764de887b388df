"""Hostile request bodies, through the judge: answered by policy or refused as the caller's fault, never ours."""

from __future__ import annotations

import asyncio
import json
from functools import cache

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.enforcement import Attempt
from gateway.identity import Credentials, UnknownKey
from tests.gateway.parts import Bank

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.just("amount"), inner, max_size=3)
    ),
    max_leaves=12,
)
LARGEST = 8192  # bytes, as a route may well show to policy


@cache
def bank() -> Bank:
    made = Bank()
    asyncio.run(made._ask(UnknownKey(made.config.identity.issuers[0].issuer)))
    return made


@cache
def credentials() -> Credentials:
    return Credentials(f"Bearer {bank().token()}")


def pay(body: bytes) -> int:
    answer = bank().judge.at_once(Attempt("POST", "/pay", "bank", "10.0.0.5", credentials(), body))
    assert answer is not None
    bank().seen.clear()
    return answer.status


def check(body: bytes) -> None:
    status = pay(body)
    assert status in (200, 400, 403)
    if status == 200:
        amount = json.loads(body)["amount"]
        assert amount is None or amount < 100  # Rego orders null below numbers


@given(st.binary(max_size=200))
@example(b'{"amount":"\xff"}')
@example(b'{"amount":5,"\xff":1}')
@example(b'{"amount":5,"amount":500}')
@example(b'{"amount":1e999}')
@example(b'{"amount":-1e999}')
@example(b'{"amount":NaN}')
@example(b'{"amount":' + b"9" * 5000 + b"}")
@example(b'{"amount":5,"more":1' + b"0" * 350 + b"}")
@example(b'{"amount":5}\0')
@example(b'{"amount":5} {"amount":500}')
@example(b'\xef\xbb\xbf{"amount":5}')
@example(b'{"amount":"\\ud800"}')
@example('{"amount":5}'.encode("utf-16"))
def test_any_bytes(body: bytes) -> None:
    """Any body is judged or refused, never a failure of ours; it passes only with what the policy asks for in it."""
    check(body)


@given(values)
def test_any_json(body: object) -> None:
    """The same for any JSON, and for what Python takes for JSON."""
    check(json.dumps(body).encode())


@given(st.integers(0, 12), st.binary(min_size=1, max_size=3))
def test_a_good_body_damaged(at: int, damage: bytes) -> None:
    good = b'{"amount":5}'
    check(good[:at] + damage + good[at:])
    check(good[:at] + damage + good[at + len(damage) :])


@given(st.integers(1, LARGEST // 2 - 20), st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b"[{},", b"]")]))
@example(200, (b"[", b"]"))
@example(300, (b"[", b"]"))
@example(400, (b"[", b"]"))
@example(600, (b"[", b"]"))
@example(800, (b"[", b"]"))
@example(940, (b"[", b"]"))
def test_json_of_any_depth(depth: int, nest: tuple[bytes, bytes]) -> None:
    """Nesting of any depth is judged or the caller's fault."""
    opening, closing = nest
    depth = min(depth, LARGEST // (len(opening) + len(closing)))
    check(b'{"amount":5,"more":' + opening * depth + b"1" + closing * depth + b"}")
