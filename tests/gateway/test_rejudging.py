"""Continuous verification: what a signal touches is judged again, what policy would refuse ends, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Drawn
from hypothesis.stateful import RuleBasedStateMachine, consumes, invariant, rule

from defense_lines import Revocation, Risk
from gateway.agents import Agent, Profile, Registry, State
from gateway.blocklist import Blocklist
from gateway.config import Identity, Issuer
from gateway.devices import Devices, Posture
from gateway.identity import Evidence, Identifier, KeySet
from gateway.identity.jwk import public_key
from gateway.rejudging import Rejudging
from gateway.revocations import Revocations
from gateway.risk import Risks
from gateway.sessions import Cut, Session, Sessions
from gateway.standing import Standing
from policy import (
    AccessRequest,
    Actor,
    BlockPolicy,
    Bundle,
    Cause,
    Pdp,
    Principal,
    Revision,
    Target,
    compile_bundle,
)
from policy.engines import EmbeddedEngine
from tests.gateway.edge_rig import until

RULES = """package portcullis.access

import rego.v1

default decision := {"effect": "deny", "reasons": ["no"]}

decision := {"effect": "allow", "reasons": []} if {
	not data.risk[input.principal.actor] == "high"
	not data.closed[input.service]
	fit
}

fit if not startswith(input.path, "/device/")

fit if input.device.compliant
"""
STRICTER = RULES.replace("fit\n}", 'fit\n\tinput.principal.id != "person:bob"\n}')
NOW = 1_800_000_000.0
IDP = "https://idp.example"
KEYS = [
    {"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y}
    for kid, x, y in (
        (
            "one",
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        ),
        (
            "two",
            "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        ),
    )
]


@cache
def compiled(strict: bool) -> Revision:
    """Compiled once: it takes longer than all that is tested."""
    return compile_bundle(Bundle({"a.rego": STRICTER if strict else RULES}, {}))


def revision(strict: bool) -> Revision:
    """With a document of its own, which is changed in place."""
    return replace(compiled(strict), data={"risk": {}, "closed": {}})


def thumbprint(number: int) -> str:
    key = public_key(KEYS[number])
    assert key is not None
    return key.thumbprint


class House:
    """Live streams, and everything that a signal may change."""

    def __init__(self) -> None:
        self.ended: dict[str, Cut] = {}
        self.work: list[Callable[[], int]] = []
        self.sessions = Sessions(monotonic=lambda: self.now)
        self.pdp = Pdp(EmbeddedEngine(revision(strict=False)))
        self.risks = Risks(self.pdp)
        self.now = NOW
        self.agents = Registry()
        self.devices = Devices("device_id")
        self.identifier = Identifier(Identity(issuers=(Issuer(issuer=IDP, jwks_url="http://u", audience="b"),)))
        self.identifier.put_keys(IDP, KeySet.parse({"keys": KEYS}))
        self.blocklist = Blocklist(self.sessions, clock=lambda: self.now)
        self.revocations = Revocations("device_id", 1000)
        self.standing = Standing(self.identifier, self.agents, self.blocklist, self.revocations, self.devices)
        self.rejudging = Rejudging(
            self.sessions,
            self.pdp,
            self.standing,
            self.renew,
            self.work.append,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
        )

    async def renew(self, session: Session) -> Principal | None:
        return None

    def open(
        self, name: str, subject: str = "person:alice", actors: tuple[str, ...] = (), **more: Any
    ) -> Session | None:
        """A stream, if policy lets it in."""
        path, key, lives = more.pop("path", "/streams/1"), more.pop("key", 0), more.pop("lives", 600.0)
        chain = tuple(Actor(actor, "agent") for actor in actors)
        principal = Principal(
            id=subject, kind="person", issuer=IDP, actors=chain, expires=self.now + lives, issued=self.now, **more
        )
        request = AccessRequest(
            principal=principal,
            action="GET",
            service="s",
            path=path,
            address="10.0.0.1",
            stream=True,
            device=self.devices.of(principal),
            time=self.now,
        )
        device = self.devices.named(principal)
        evidence = Evidence(digest=name.encode(), issuer=IDP, key=thumbprint(key))
        decision = self.pdp.decide(request)

        def end(cut: Cut) -> None:
            assert name not in self.ended
            self.ended[name] = cut

        session = Session(name, request, decision, self.now, end, evidence, device, self.now)
        allowed = decision.allowed and not isinstance(self.standing.request(session, self.now), str)
        if allowed:
            self.sessions.open(session)
        return session if allowed else None

    def settle(self) -> None:
        while self.work:
            self.work.pop()()

    def raise_risk(self, principal: str, seconds: float = 100.0, level: str = "high") -> None:
        self.risks.set(Risk(principal=principal, level=level, expires=self.now + seconds, reason="r", by="t"))

    @property
    def reasons(self) -> dict[str, str]:
        return {name: cut.reason for name, cut in self.ended.items()}


@pytest.fixture
def house() -> House:
    made = House()
    made.open("agent", actors=("agent:bot",), lives=60.0)
    made.open("bob", "person:bob")
    return made


def test_risk_ends_what_it_forbids_and_nothing_else(house: House) -> None:
    house.raise_risk("agent:bot")
    assert house.rejudging.risk("agent:bot") == 1
    assert house.reasons == {"agent": "no"}
    assert house.ended["agent"].signal == "risk"


def test_risk_of_somebody_else_touches_nobody(house: House) -> None:
    house.raise_risk("person:carol")
    assert house.rejudging.risk("person:carol") == 0
    assert house.ended == {}


def test_a_stricter_revision_ends_what_it_forbids(house: House) -> None:
    assert house.rejudging.everyone() == 0
    house.pdp.activate(revision(strict=True))
    assert house.rejudging.everyone() == 1
    assert house.reasons == {"bob": "no"}
    (alice,) = house.sessions
    assert house.sessions.find("revision", house.pdp.revision) == (alice,)


def test_data_that_a_decision_read_ends_it(house: House) -> None:
    house.pdp.put_data(("closed", "other"), True)
    assert house.rejudging.data(("data", "closed", "other")) == 0
    house.pdp.put_data(("closed", "s"), True)
    assert house.rejudging.data(("data", "closed", "s")) == 2


def test_a_stream_ends_with_its_proof(house: House) -> None:
    house.rejudging.tick()
    assert house.ended == {}
    house.now = NOW + 60
    house.rejudging.tick()
    assert house.reasons == {"agent": "token_expired"}


def test_a_long_lived_stream_is_judged_again_though_nothing_happened(house: House) -> None:
    house.pdp.put_data(("closed", "s"), True)  # and nobody told us
    house.now = NOW + 59
    house.rejudging.tick()
    assert house.ended == {}
    house.now = NOW + 301
    house.rejudging.tick()
    assert house.reasons == {"agent": "token_expired", "bob": "no"}
    assert house.ended["bob"].signal == "age"


def test_a_key_that_is_removed_ends_what_it_signed(house: House) -> None:
    house.open("two", key=1)
    assert house.rejudging.keys(IDP) == 0
    house.identifier.put_keys(IDP, KeySet.parse({"keys": KEYS[:1]}))
    assert house.rejudging.keys(IDP) == 1
    assert house.reasons == {"two": "key_removed"}


def test_a_device_that_is_not_compliant_any_more_ends_what_depended_on_it(house: House) -> None:
    house.devices.learn("laptop-1", Posture(True, NOW))
    house.open("needs", path="/device/1", attributes={"device_id": "laptop-1"})
    house.open("does not", attributes={"device_id": "laptop-1"})
    house.devices.learn("laptop-1", Posture(False, NOW))
    assert house.rejudging.device("laptop-1") == 1
    assert house.reasons == {"needs": "no"}


def test_what_was_signalled_while_a_stream_was_judged_touches_it_too(house: House) -> None:
    epoch = house.sessions.epoch
    session = house.open("late", "person:carol")
    assert session is not None
    house.rejudging.opened(session, epoch)
    assert house.ended == {}
    epoch = house.sessions.epoch
    house.raise_risk("person:carol")
    house.rejudging.data(("data", "unrelated"))  # the signal came before the session was there to be found
    house.rejudging.opened(session, epoch)
    assert house.reasons == {"late": "no"}


def test_a_revoked_proof_ends(house: House) -> None:
    revocation = Revocation(
        kind="subject", value=f"{IDP} bob", before=NOW, until=NOW + 99, reason="r", by="t", signal="logout"
    )
    house.revocations.put(revocation)
    assert house.rejudging.again(house.sessions.find("subject", f"{IDP} bob"), "logout") == 1
    assert house.reasons == {"bob": "revoked"}


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
def test_a_registration_ends_what_it_forbids_and_nothing_else(house: House, agent: Agent, ends: bool) -> None:
    house.agents.put(agent)
    assert house.rejudging.agent(agent) == len(house.ended) == ends
    assert house.reasons == ({"agent": "agent_refused"} if ends else {})


def test_the_workload_that_an_agent_runs_as_ends_with_it(house: House) -> None:
    svid = "spiffe://bank.example/bot"
    house.open("workload", f"workload:{svid}")
    agent = bot("suspended", spiffe_id=svid)
    house.agents.put(agent)
    assert house.rejudging.agent(agent) == 2
    assert set(house.ended) == {"agent", "workload"}


_PEOPLE = st.sampled_from(["person:alice", "person:bob", "person:carol"])
_AGENTS = st.lists(st.sampled_from(["agent:bot", "agent:other"]), max_size=2, unique=True)
_DEVICES = st.sampled_from(["laptop-1", "laptop-2"])


class Living(RuleBasedStateMachine):
    """Streams begin and end, anything changes in any order; after each step exactly those live whom policy, asked
    again, would let in.
    """

    streams = Drawn("streams")

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.number = 0
        self.signalled = True

    @rule(
        target=streams,
        subject=_PEOPLE,
        actors=_AGENTS,
        path=st.sampled_from(["/streams/1", "/device/1"]),
        key=st.sampled_from([0, 1]),
        device=_DEVICES,
        lives=st.sampled_from([30.0, 600.0]),
    )
    def open(self, subject: str, actors: list[str], **more: Any) -> Session | None:
        self.number += 1
        attributes = {"device_id": more.pop("device"), "sid": f"login of {subject}"}
        return self.house.open(f"s{self.number}", subject, tuple(actors), attributes=attributes, **more)

    @rule(session=consumes(streams))
    def ends_by_itself(self, session: Session | None) -> None:
        if session is not None:
            self.house.sessions.close(session)

    @rule(who=_PEOPLE | st.sampled_from(["agent:bot", "agent:other"]), level=st.sampled_from(["high", "low"]))
    def risk(self, who: str, level: str) -> None:
        self.house.raise_risk(who, level=level)
        self.house.rejudging.risk(who)

    @rule(closed=st.booleans())
    def data(self, closed: bool) -> None:
        self.house.pdp.put_data(("closed", "s"), closed)
        self.house.rejudging.data(("data", "closed", "s"))

    @rule(device=_DEVICES, compliant=st.booleans())
    def posture(self, device: str, compliant: bool) -> None:
        if self.house.devices.learn(device, Posture(compliant, self.house.now)):
            self.house.rejudging.device(device)

    @rule(state=st.sampled_from(["active", "suspended"]), name=st.sampled_from(["agent:bot", "agent:other"]))
    def agent(self, state: State, name: str) -> None:
        agent = replace_expiry(bot(state, id=name), self.house.now + 9999)
        self.house.agents.put(agent)
        self.house.rejudging.agent(agent)

    @rule(kept=st.sampled_from([KEYS, KEYS[:1], KEYS[1:]]))
    def keys(self, kept: list[dict[str, str]]) -> None:
        if self.house.identifier.put_keys(IDP, KeySet.parse({"keys": kept})):
            self.house.rejudging.keys(IDP)

    @rule(strict=st.booleans())
    def policy(self, strict: bool) -> None:
        self.house.pdp.activate(revision(strict))
        self.house.rejudging.everyone()

    @rule(subject=_PEOPLE, kind=st.sampled_from(["principal", "login"]))
    def revoke(self, subject: str, kind: str) -> None:
        value = f"{IDP} login of {subject}" if kind == "login" else subject
        now = self.house.now
        self.house.revocations.put(
            Revocation(kind=kind, value=value, before=now, until=now + 50, reason="r", by="t", signal="test")
        )
        self.house.rejudging.again(self.house.sessions.find(kind, value), "test")

    @rule(subject=_PEOPLE)
    def block(self, subject: str) -> None:
        now, name = self.house.now, f"b-{self.number:016x}"
        target = Target.of("principal", subject)
        self.number += 1
        order = BlockPolicy(id=name, target=target, created=now, expires=now + 50, cause=Cause(reason="r", by="t"))
        self.house.blocklist.enforce([order])

    @rule(seconds=st.sampled_from([1.0, 31.0, 301.0]))
    def wait(self, seconds: float) -> None:
        self.house.now += seconds
        self.house.rejudging.tick()

    @invariant()
    def exactly_those_live_whom_policy_would_let_in(self) -> None:
        house = self.house
        house.settle()
        for session in house.sessions:
            request = house.standing.request(session, house.now)
            assert not isinstance(request, str), (session.id, request)
            assert house.pdp.decide(request).allowed, session.id
        for name, cut in house.ended.items():
            assert cut.reason, name

    @invariant()
    def nobody_who_ended_is_found(self) -> None:
        for name in self.house.ended:
            assert self.house.sessions.find("session", name) == ()


def replace_expiry(agent: Agent, expires: float) -> Agent:
    return msgspec.structs.replace(agent, profile=msgspec.structs.replace(agent.profile, expires=expires))


class Innocent(Living):
    """And none is cut whom policy, asked at that moment, would have let in."""

    def __init__(self) -> None:
        super().__init__()
        house = self.house
        cut = house.sessions.cut

        def watched(sessions: Any, reason: str, signal: str, arrived: float | None = None) -> int:
            for session in tuple(sessions):
                request = house.standing.request(session, house.now)
                refused = isinstance(request, str) or not house.pdp.decide(request).allowed
                assert refused or signal == "block", (session.id, reason, signal)
            return cut(sessions, reason, signal, arrived)

        house.sessions.cut = watched  # type: ignore[method-assign]


TestLiving = Living.TestCase
TestInnocent = Innocent.TestCase
TestLiving.settings = TestInnocent.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


async def test_an_issuer_is_asked_again_about_a_token_that_only_it_can_read(house: House) -> None:
    """When its last word has grown old; who it vouches for lives on, whom it does not ends."""
    answers: list[Principal | None] = []

    async def renew(session: Session) -> Principal | None:
        return answers.pop()

    house.rejudging = Rejudging(
        house.sessions,
        house.pdp,
        house.standing,
        renew,
        house.work.append,
        clock=lambda: house.now,
        monotonic=lambda: house.now,
    )
    session = house.open("opaque", "person:carol", lives=30.0)
    assert session is not None
    session.evidence = Evidence(issuer=IDP, opaque="token")
    asking = asyncio.create_task(house.rejudging.run())
    try:
        house.now += 30
        answers.append(msgspec.structs.replace(session.request.principal, expires=house.now + 30))
        house.rejudging.tick()
        house.settle()
        await until(lambda: session.judged == house.now, "judged on the issuer's new word")
        assert house.ended == {}
        house.now += 30
        answers.append(None)
        house.rejudging.tick()
        house.settle()
        await until(lambda: "opaque" in house.ended, "the issuer vouches no more")
        assert house.reasons["opaque"] == "token_expired"
        assert "bob" not in house.ended
    finally:
        asking.cancel()
        await asyncio.wait([asking])
