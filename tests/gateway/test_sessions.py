"""Sessions and blocks: a cut ends exactly what it names, and a block refuses exactly what it targets."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.blocklist import Blocklist
from gateway.identity import Evidence
from gateway.sessions import Session, Sessions
from policy import AccessRequest, Actor, BlockPolicy, Cause, Decision, Principal, Target, TargetKind

_people = st.sampled_from(["person:alice", "person:bob", "person:carol"])
_agents = st.lists(st.sampled_from(["agent:a", "agent:b", "agent:c"]), max_size=2, unique=True)
_addresses = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.1.1", "2001:db8::1"])


def session(number: int, subject: str, agents: list[str], address: str, ended: list[str]) -> Session:
    actors = tuple(Actor(agent, "agent") for agent in agents)
    principal = Principal(id=subject, kind="person", issuer="i", actors=actors, token=f"t{number}")
    request = AccessRequest(principal=principal, action="GET", service="s", path="/", address=address, stream=True)
    decision = Decision(id=f"d-{number}", effect="allow", reasons=(), revision="r")
    return Session(f"d-{number}", request, decision, 0.0, lambda cut: ended.append(f"d-{number}"))


def block(kind: TargetKind, value: str, expires: float = 100.0, name: str = "b-1") -> BlockPolicy:
    target = Target.of(kind, value)
    return BlockPolicy(id=name, target=target, created=0.0, expires=expires, cause=Cause(reason="r", by="test"))


def touches(target: Target, one: Session) -> bool:
    principal, address = one.request.principal, one.request.address
    return {
        "principal": target.value == principal.id,
        "actor": target.value in set(principal.chain()),
        "address": target.value == address,
        "session": target.value == one.id,
        "range": target.value == "10.0.0.0/24" and address.startswith("10.0.0."),
    }[target.kind]


_targets = st.one_of(
    _people.map(lambda value: Target.of("principal", value)),
    st.sampled_from(["agent:a", "agent:b", "person:alice"]).map(lambda value: Target.of("actor", value)),
    _addresses.map(lambda value: Target.of("address", value)),
    st.just(Target.of("range", "10.0.0.0/24")),
    st.just(Target.of("session", "d-0")),
)


@given(st.lists(st.tuples(_people, _agents, _addresses), max_size=8), st.lists(_targets, max_size=4))
def test_a_cut_ends_exactly_what_it_names(streams: list[tuple[str, list[str], str]], targets: list[Target]) -> None:
    registry, ended = Sessions(), list[str]()
    live = [session(number, *stream, ended) for number, stream in enumerate(streams)]
    for one in live:
        registry.open(one)
    for target in targets:
        registry.cut(registry.find(target.kind, target.value), "test", "test")
    expected = {one.id for one in live if any(touches(target, one) for target in targets)}
    assert sorted(ended) == sorted(expected)
    assert {one.id for one in registry} == {one.id for one in live} - expected
    for one in tuple(registry):
        assert registry.close(one)
    assert registry.find("principal", "person:alice") == ()


@given(st.tuples(_people, _agents, _addresses), st.lists(_targets, max_size=4), st.integers(0, 1))
def test_a_block_refuses_exactly_what_it_targets(
    stream: tuple[str, list[str], str], targets: list[Target], lifted: int
) -> None:
    blocklist, one = Blocklist(Sessions(), clock=lambda: 50.0), session(0, *stream, [])
    blocks = [block(target.kind, target.value, name=f"b-{n}") for n, target in enumerate(targets)]
    blocklist.enforce(blocks)
    blocklist.lift([each.id for each in blocks[:lifted]])
    standing = [each for each in blocks[lifted:] if each.target.kind != "session" and touches(each.target, one)]
    found = blocklist.find(one.request.principal, one.request.address)
    assert (found in standing) if standing else found is None


def test_a_block_ends_with_its_time() -> None:
    now = 0.0
    blocklist = Blocklist(Sessions(), clock=lambda: now)
    blocklist.enforce([block("address", "10.0.0.1", expires=10.0)])
    assert blocklist.find(None, "10.0.0.1") is not None
    now = 10.0
    assert blocklist.find(None, "10.0.0.1") is None
    assert blocklist.active() == []
    blocklist.expire()
    now = 0.0
    assert blocklist.find(None, "10.0.0.1") is None


def test_applying_twice_is_applying_once() -> None:
    ended: list[str] = []
    sessions = Sessions()
    blocklist = Blocklist(sessions, clock=lambda: 0.0)
    sessions.open(session(1, "person:alice", ["agent:a"], "10.0.0.1", ended))
    assert blocklist.enforce([block("actor", "agent:a")]) == 1
    assert blocklist.enforce([block("actor", "agent:a")]) == 0
    blocklist.lift(["b-1", "b-1", "unknown"])
    assert blocklist.active() == []
    assert ended == ["d-1"]


@pytest.mark.parametrize("address", ["", "10.0.0.9"])
def test_an_empty_blocklist_refuses_nobody(address: str) -> None:
    assert Blocklist(Sessions()).find(None, address) is None


def test_a_session_that_has_one_name_twice_ends_as_any_other() -> None:
    """What its issuer calls it in `sub` may be what it is called here; and its token's key the one that it holds."""
    ended: list[str] = []
    one = session(1, "person:alice", [], "10.0.0.1", ended)
    attributes = {"sub": "alice", "cnf": {"jkt": "k"}}
    principal = msgspec.structs.replace(one.request.principal, attributes=attributes)
    one.request = msgspec.structs.replace(one.request, principal=principal)
    one.evidence = Evidence(issuer="i", key="k", holder="k")
    registry = Sessions()
    registry.open(one)
    assert registry.find("subject", "i alice") == registry.find("key", "k") == (one,)
    assert registry.cut(registry.find("key", "k"), "test", "test") == 1
    assert registry.find("subject", "i alice") == ()
