"""Continuous verification: what a signal touches is judged again, and what policy would refuse ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from defense_lines import Risk
from gateway.agents import Agent, Profile, Registry, State
from gateway.blocklist import Blocklist
from gateway.rejudging import Rejudging
from gateway.risk import Risks
from gateway.sessions import Session, Sessions
from policy import AccessRequest, Actor, Bundle, Decision, Pdp, Principal, compile_bundle, embedded_pdp

RULES = """package portcullis.access

import rego.v1

decision := {"effect": "allow", "reasons": []} if not data.risk[input.principal.actor] == "high"

decision := {"effect": "deny", "reasons": ["at_risk"]} if data.risk[input.principal.actor] == "high"
"""
CLOSED = """package portcullis.access

decision := {"effect": "deny", "reasons": ["closed"]}
"""
NOW = 1_800_000_000.0


class House:
    """Two live streams: the agent's for alice, and bob's own."""

    def __init__(self, rules: str = RULES) -> None:
        self.ended: list[tuple[str, str]] = []
        self.sessions = Sessions()
        self.pdp: Pdp = embedded_pdp(Bundle({"a.rego": rules}, {"risk": {}}))
        self.risks = Risks(self.pdp)
        self.now = NOW
        self.agents = Registry()
        self.rejudging = Rejudging(self.sessions, self.pdp, self.agents, clock=lambda: self.now)
        self.open("d-agent", "person:alice", (Actor("agent:bot", "agent"),), NOW + 60)
        self.open("d-bob", "person:bob", (), NOW + 600)

    def raise_risk(self, principal: str, seconds: float = 100.0) -> None:
        self.risks.set(Risk(principal=principal, level="high", expires=NOW + seconds, reason="r", by="t"))

    def open(self, name: str, subject: str, actors: tuple[Actor, ...], expires: float) -> None:
        principal = Principal(id=subject, kind="person", issuer="i", actors=actors, expires=expires)
        request = AccessRequest(principal=principal, action="GET", service="s", path="/streams/1", stream=True)
        decision = Decision(id=name, effect="allow", reasons=(), revision="r")
        self.sessions.open(Session(name, request, decision, NOW, lambda why: self.ended.append((name, why))))


def test_risk_ends_what_it_forbids_and_nothing_else() -> None:
    house = House()
    house.raise_risk("agent:bot")
    assert house.rejudging.principal("agent:bot") == 1
    assert house.ended == [("d-agent", "at_risk")]


def test_risk_of_somebody_else_touches_nobody() -> None:
    house = House()
    house.raise_risk("person:carol")
    assert house.rejudging.principal("person:carol") == 0
    assert house.ended == []


def test_a_stricter_revision_ends_what_it_forbids() -> None:
    house = House()
    assert house.rejudging.everyone() == 0
    house.pdp.activate(compile_bundle(Bundle({"a.rego": CLOSED}, {})))
    assert house.rejudging.everyone() == 2
    assert {why for _, why in house.ended} == {"closed"}


def test_a_stream_ends_with_its_proof() -> None:
    house = House()
    blocklist = Blocklist(house.sessions, clock=lambda: house.now)
    house.rejudging.tick(blocklist, house.risks)
    assert house.ended == []
    house.now = NOW + 60
    house.rejudging.tick(blocklist, house.risks)
    assert house.ended == [("d-agent", "token_expired")]


def test_a_risk_that_has_run_out_is_no_risk() -> None:
    house = House()
    house.raise_risk("person:bob", seconds=5)
    house.now = NOW + 5
    house.rejudging.tick(Blocklist(house.sessions, clock=lambda: house.now), house.risks)
    assert house.ended == []
    request = next(iter(house.sessions.find("principal", "person:bob"))).request
    assert house.pdp.decide(request).allowed


def bot(state: State, **changes: Any) -> Agent:
    """The agent's registration."""
    declared = {"id": "agent:bot", "owner": "team:x", "purpose": "p", "model": "m", "version": "1", "expires": NOW + 99}
    profile = msgspec.convert(declared | {"may_act_for": ["*"]} | changes, Profile)
    return Agent(profile=profile, state=state, changed=NOW, by="analyst:jo")


@pytest.mark.parametrize(
    ("agent", "ends"),
    [
        (bot("active"), False),
        (bot("suspended"), True),
        (bot("revoked"), True),
        (bot("active", expires=NOW), True),
        (bot("active", may_act_for=["person:carol"]), True),
        (bot("suspended", id="agent:other"), False),
    ],
)
def test_a_registration_ends_what_it_forbids_and_nothing_else(agent: Agent, ends: bool) -> None:
    house = House()
    house.agents.put(agent)
    assert house.rejudging.agent(agent) == len(house.ended) == ends
    assert house.ended == ([("d-agent", "agent_refused")] if ends else [])


def test_the_workload_that_an_agent_runs_as_ends_with_it() -> None:
    house, svid = House(), "spiffe://bank.example/bot"
    house.open("d-workload", f"workload:{svid}", (), NOW + 60)
    agent = bot("suspended", spiffe_id=svid)
    house.agents.put(agent)
    assert house.rejudging.agent(agent) == 2
    assert sorted(name for name, _ in house.ended) == ["d-agent", "d-workload"]
