"""Hostile orders on the admin socket: each is an order, whole, or the caller's error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from console.agent_api import AddAgent, ChangeAgent
from console.orders import MAX_JSON, AddBlock, CallerError, CutSessions, LiftBlock, read_order, reason, target, whom
from gateway.agents import Agent, Profile

ORDERS = (AddBlock, LiftBlock, CutSessions, AddAgent, ChangeAgent)
FIELDS = ("kind", "value", "ttl", "reason", "by", "override", "dry_run", "verb", "agent", "profile", "more")
_MADE = {"owner": "team:a", "purpose": "p", "model": "m", "version": "1"}
PROFILE: dict[str, Any] = {"id": "agent:a", **_MADE, "expires": 2e9}
TEXTS = ("principal", "address", "10.0.0.0/8", "::1/0", "person:alice", "", " ", "\0", "x" * 2000, "٣", "1.2.3.4/33")

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TEXTS) | st.text(max_size=9)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


def read(pieces: Sequence[bytes], kind: type[Any]) -> Any:
    """What read_order makes of a body that comes in these pieces."""
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})
    coming = iter(waiting)

    async def receive() -> dict[str, Any]:
        return next(coming)

    return asyncio.run(read_order(Request({"type": "http", "headers": []}, receive), kind))


def check(pieces: Sequence[bytes]) -> None:
    for kind in ORDERS:
        with suppress(CallerError):
            order = read(pieces, kind)
            assert isinstance(order, kind)
            assert isinstance(order.reason, str)
            _carried_out(order)


def _carried_out(order: Any) -> None:
    """What the API does next with an order that could be read."""
    with suppress(CallerError):
        assert 0 < len(reason(order.reason)) <= 1000
    if isinstance(order, AddBlock):
        assert 0 < order.ttl < float("inf")
    if isinstance(order, AddAgent):
        agent = Agent(profile=order.profile, changed=0.0, by="jo")
        assert agent.for_policy()["id"].startswith("agent:")
        assert msgspec.json.decode(msgspec.json.encode(agent), type=Agent) == agent
    if isinstance(order, AddBlock):
        with suppress(CallerError):
            assert target(order.kind, order.value).value
    if isinstance(order, CutSessions):
        with suppress(CallerError):
            assert whom(order.kind, order.value)[1]


@given(st.lists(st.binary(max_size=200), max_size=4))
@example([b'{"reason":"\xff"}'])
@example([b"[" * 60_000])
@example([b'{"kind":"address","value":"::","reason":"x","ttl":1e999}'])
@example([b'{"kind":"address","value":"::","reason":"x","ttl":' + b"9" * 5000 + b"}"])
def test_any_bytes(pieces: list[bytes]) -> None:
    """Any body, however it comes, is an order of the kind asked for, or a CallerError that says 4xx."""
    check(pieces)


@given(st.dictionaries(st.sampled_from(FIELDS), values), st.integers(0, 80))
def test_any_json_near_an_order(order: dict[str, Any], at: int) -> None:
    """The same for objects with our fields; a lifetime that was read is finite and above nothing."""
    base: dict[str, Any] = {"kind": "address", "value": "10.0.0.1", "ttl": 60, "reason": "why"}
    for document in (order, base | order):
        data = json.dumps(document).encode()
        check([data[:at], data[at:]])


@given(st.dictionaries(st.sampled_from(Profile.__struct_fields__), values, min_size=1))
@example({"purpose": "\ud800"})
@example({"expires": float("nan")})
@example({"amounts": {"EUR": float("inf")}})
@example({"amounts": {"EUR": 10**400}})
def test_any_json_near_a_profile(changes: dict[str, Any]) -> None:
    """A profile that was read can be kept and read again, and shown to policy."""
    check([json.dumps({"profile": PROFILE | changes, "reason": "why"}).encode()])


def test_a_body_without_end_is_refused_before_it_is_held() -> None:
    """At most MAX_JSON bytes are ever taken."""
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1024
        return {"type": "http.request", "body": b" " * 1024, "more_body": True}

    with pytest.raises(CallerError) as refused:
        asyncio.run(read_order(Request({"type": "http", "headers": []}, receive), AddBlock))
    assert refused.value.status == 413
    assert taken <= MAX_JSON + 1024


def test_a_caller_that_goes_away_is_no_order() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        asyncio.run(read_order(Request({"type": "http", "headers": []}, receive), AddBlock))
