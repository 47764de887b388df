"""Delegation chains: who acts, who may come to act, and which chains nobody should have signed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import Refusal
from gateway.identity.delegation import actors_of, may_act_allows
from policy import Actor, PrincipalKind

ISSUER = "https://issuer.bank.example"
ANYBODY: tuple[PrincipalKind, ...] = ("person", "workload", "agent")
BOT = Actor("agent:bot", "agent", ISSUER)


def test_the_chain_of_rfc_8693() -> None:
    """The nested example of section 4.1: the outermost is who acts now, what is nested was before."""
    act = {"sub": "https://service16.example.com", "act": {"sub": "https://service77.example.com"}}
    assert actors_of(act, ISSUER, 4, ANYBODY) == (
        Actor("agent:https://service16.example.com", "agent", ISSUER),
        Actor("agent:https://service77.example.com", "agent", ISSUER),
    )


def test_an_actor_may_be_of_any_kind() -> None:
    act = {"sub": "workload:a", "act": {"sub": "person:tina", "act": {"sub": "bot"}}}
    chain = actors_of(act, ISSUER, 3, ANYBODY)
    assert isinstance(chain, tuple)
    assert [actor.kind for actor in chain] == ["workload", "person", "agent"]


def test_an_actor_of_another_issuer_is_known_as_such() -> None:
    assert actors_of({"sub": "bot", "iss": "https://other.example"}, ISSUER, 1, ANYBODY) == (
        Actor("agent:bot", "agent", "https://other.example"),
    )


@pytest.mark.parametrize("depth", range(6))
def test_a_chain_is_as_long_as_configured_and_no_longer(depth: int) -> None:
    chain = actors_of(nested([f"bot-{number}" for number in range(depth)]), ISSUER, 3, ANYBODY)
    assert isinstance(chain, Refusal) if depth > 3 else len(chain) == depth  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [["a", "a"], ["a", "b", "a"], ["a", "b", "agent:b"]])
def test_nobody_stands_twice_in_a_chain(names: list[str]) -> None:
    assert isinstance(actors_of(nested(names), ISSUER, 9, ANYBODY), Refusal)


ODD = [
    {},
    [],
    "bot",
    7,
    False,
    {"sub": ""},
    {"sub": None},
    {"sub": ["bot"]},
    {"sub": "two words"},
    {"sub": "b" * 257},
    {"sub": "bot\n"},
    {"sub": "bot", "iss": ""},
    {"sub": "bot", "iss": None},
    {"sub": "bot", "iss": "https://a b"},
    {"sub": "bot", "act": {}},
    {"sub": "bot", "act": []},
    {"sub": "bot", "act": "agent:other"},
]


@pytest.mark.parametrize("act", ODD)
def test_an_actor_that_cannot_be_named_is_a_refusal(act: Any) -> None:
    assert isinstance(actors_of(act, ISSUER, 4, ANYBODY), Refusal)


def test_who_may_act_by_rfc_8693() -> None:
    """The example of section 4.4: admin may act for the user of the token."""
    claims = {"sub": "user@example.net", "may_act": {"sub": "admin@example.net"}}
    assert may_act_allows(claims, Actor("agent:admin@example.net", "agent", ISSUER))
    assert not may_act_allows(claims, Actor("agent:other@example.net", "agent", ISSUER))


@pytest.mark.parametrize(
    ("may_act", "allowed"),
    [
        ({"sub": "agent:bot"}, True),
        ({"sub": "bot"}, True),
        ({"sub": "bot", "iss": ISSUER}, True),
        ({"sub": "bot", "iss": "https://other.example"}, False),
        ({"sub": "bot", "exp": 1, "nbf": 2, "aud": "x"}, True),
        ({"sub": "bot", "email": "bot@bank.example"}, False),
        ({"sub": "person:bot"}, False),
        ({"sub": "Bot"}, False),
        ({"sub": "bot "}, False),
        ({"iss": ISSUER}, False),
        ({"sub": "other", "act": {"sub": "bot"}}, False),
        ({"sub": "bot", "act": {"sub": "other"}}, False),
        ({}, False),
        (None, False),
        ("agent:bot", False),
        ([{"sub": "bot"}], False),
        (True, False),
    ],
)
def test_only_who_may_act_acts(may_act: Any, allowed: bool) -> None:
    assert may_act_allows({"sub": "person:alice", "may_act": may_act}, BOT) is allowed


def test_what_says_nothing_of_it_forbids_nothing() -> None:
    assert may_act_allows({"sub": "person:alice"}, BOT)


def test_history_grants_nothing() -> None:
    """Who once acted may not act again for that: `act` is no `may_act`."""
    claims = {"sub": "person:alice", "act": {"sub": "other", "act": {"sub": "bot"}}, "may_act": {"sub": "third"}}
    assert not may_act_allows(claims, BOT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sub", "iss", "act", "x"]), inner),
    max_leaves=12,
)


@given(json_values, st.integers(0, 4))
def test_whatever_the_claim_is_the_answer_is_a_chain_or_a_refusal(act: Any, longest: int) -> None:
    chain = actors_of(act, ISSUER, longest, ANYBODY)
    if isinstance(chain, tuple):
        assert len(chain) == len({actor.id for actor in chain}) <= longest
        assert all(actor.id.startswith(f"{actor.kind}:") and actor.issuer for actor in chain)


@given(json_values)
def test_whatever_may_act_is_it_allows_only_who_it_names(may_act: Any) -> None:
    if may_act_allows({"may_act": may_act}, BOT):
        assert may_act["sub"] in ("bot", "agent:bot")
        assert may_act.get("iss", ISSUER) == ISSUER


def nested(names: list[str]) -> Any:
    """An act claim, the current actor first."""
    act: Any = None
    for name in reversed(names):
        act = {"sub": name} | ({"act": act} if act else {})
    return act
