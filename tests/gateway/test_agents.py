"""The registry of agents: who may stand in a chain, what an order comes to, and what a restart finds again."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.agents import (
    Agent,
    AgentsUnreadable,
    AgentsUnwritable,
    Change,
    Order,
    Profile,
    Registrar,
    Registry,
    Store,
    Verb,
    Vetting,
    chain_allowed,
)
from gateway.identity import Refusal
from policy import Actor, Principal

NOW = 1_800_000_000.0
KEY = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
OTHER_KEY = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
SVID = "spiffe://bank.example/invoice-bot"
DECLARED: dict[str, Any] = {
    "id": "agent:bot",
    "owner": "team:payments",
    "purpose": "pays invoices",
    "model": "small-1",
    "version": "2027-01",
    "expires": NOW + 1000,
    "tools": ["pay"],
    "amounts": {"EUR": 500, "CHF": 99.95},
    "may_act_for": ["person:alice", "role:clerk"],
    "keys": [KEY],
    "spiffe_id": SVID,
}


def profile(**changes: Any) -> Profile:
    return msgspec.convert(DECLARED | changes, Profile)


def plain(name: str, **changes: Any) -> Profile:
    """One without proofs of its own, which may act for everybody."""
    return profile(**{"id": name, "keys": [], "spiffe_id": "", "may_act_for": ["*"], **changes})


def registered(*profiles: Profile) -> Registry:
    return Registry(Agent(profile=each, changed=NOW, by="analyst:jo") for each in profiles)


def person(*actors: str, **changes: Any) -> Principal:
    """Alice, for whom these act; the current actor first."""
    chain = tuple(Actor(name, name.partition(":")[0]) for name in actors)  # type: ignore[arg-type]
    said: dict[str, Any] = {"id": "person:alice", "kind": "person", "issuer": "i", "expires": NOW + 60}
    return Principal(**said | {"actors": chain} | changes)


def order(verb: Verb, agent: str = "agent:bot", declared: Profile | None = None) -> Order:
    if verb in ("add", "replace") and declared is None:
        declared = plain(agent)
    return Order(verb=verb, agent=agent, by="analyst:jo", reason=f"{verb} it", profile=declared)


def change(registry: Registry, *verbs: Verb, agent: str = "agent:bot") -> None:
    """Carry orders out without a file."""
    for verb in verbs:
        after = registry.after(order(verb, agent), NOW)
        assert isinstance(after, Agent)
        registry.put(after)


class House:
    """A registrar and its file. The listener hears; `ended` is what it answers."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "agents.db"
        self.heard: list[Agent] = []
        self.now = NOW

    async def open(self) -> House:
        self.registry = Registry()
        self.registrar = await Registrar.open(self.file, self.registry, self._hear, lambda: self.now)
        return self

    async def reopen(self) -> House:
        await self.registrar.close()
        return await self.open()

    def _hear(self, agent: Agent) -> int:
        self.heard.append(agent)
        return 7


@pytest.fixture
async def house(tmp_path: Path) -> Any:
    opened = await House(tmp_path).open()
    yield opened
    await opened.registrar.close()


# What may be declared


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "bot"},
        {"id": "person:bot"},
        {"id": "agent:"},
        {"id": "agent:bot\n"},
        {"id": "agent:b t"},
        {"id": "agent:" + "b" * 257},
        {"owner": "payments"},
        {"owner": "agent:other"},
        {"purpose": ""},
        {"purpose": "a\x1bb"},
        {"purpose": "p" * 1001},
        {"model": ""},
        {"version": "v" * 201},
        {"tools": ["pay", "pay"]},
        {"tools": ["two words"]},
        {"tools": [f"t{number}" for number in range(1001)]},
        {"amounts": {"EUR": -1}},
        {"amounts": {"EUR": float("nan")}},
        {"amounts": {"EUR": 1e16}},
        {"amounts": {"euro": 1}},
        {"may_act_for": ["alice"]},
        {"may_act_for": ["team:x"]},
        {"keys": ["short"]},
        {"keys": [KEY, KEY]},
        {"spiffe_id": "https://bank.example/x"},
        {"spiffe_id": "spiffe://bank.example"},
        {"expires": float("inf")},
        {"expires": -1},
        {"not_before": NOW + 1000},
        {"limits": {}},
    ],
)
def test_what_cannot_be_meant_is_not_declared(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        profile(**wrong)


def test_what_is_not_listed_is_not_allowed() -> None:
    short = {name: DECLARED[name] for name in ("id", "owner", "purpose", "model", "version", "expires")}
    declared = msgspec.convert(short, Profile)
    assert (declared.tools, declared.amounts, declared.keys) == ((), {}, ())
    assert not declared.acts_for("person:alice", ("clerk",))


# Chains


def test_policy_sees_the_record_of_who_acts_now() -> None:
    registry = registered(profile(), plain("agent:earlier"))
    allowed = chain_allowed(person("agent:bot", "agent:earlier"), registry, NOW)
    assert isinstance(allowed, Principal)
    assert allowed.agent == {
        "id": "agent:bot",
        "owner": "team:payments",
        "purpose": "pays invoices",
        "model": "small-1",
        "version": "2027-01",
        "expires": NOW + 1000,
        "not_before": 0,
        "tools": ["pay"],
        "amounts": {"EUR": 500, "CHF": 99.95},
        "may_act_for": ["person:alice", "role:clerk"],
        "state": "active",
    }


def test_policy_sees_a_new_record_at_once() -> None:
    registry = registered(plain("agent:bot"))
    for tools in ["pay"], ["read", "pay"]:
        registry.put(Agent(profile=plain("agent:bot", tools=tools), changed=NOW, by="analyst:jo"))
        allowed = chain_allowed(person("agent:bot"), registry, NOW)
        assert isinstance(allowed, Principal)
        assert allowed.agent["tools"] == tools


def test_a_chain_without_agents_is_none_of_our_business() -> None:
    alone, batch = person(), person("workload:spiffe://bank.example/batch", "person:tina")
    assert chain_allowed(alone, Registry(), NOW) is alone
    assert chain_allowed(batch, Registry(), NOW) is batch


PLACES: list[Callable[[str], Principal]] = [
    lambda name: person(name),
    lambda name: person(name, "agent:good"),
    lambda name: person("agent:good", name),
    lambda name: person("workload:spiffe://bank.example/x", "agent:good", name),
    lambda name: person(id=name, kind="agent"),
    lambda name: person("agent:good", id=name, kind="agent"),
    lambda name: person("person:tina", id=name, kind="agent"),
]


@pytest.mark.parametrize("place", PLACES)
def test_an_agent_that_may_not_act_may_stand_nowhere_in_a_chain(place: Callable[[str], Principal]) -> None:
    def ask(registry: Registry, now: float = NOW, required: bool = True) -> Principal | Refusal:
        return chain_allowed(place("agent:bad"), registry, now, required)

    good = plain("agent:good", expires=NOW + 5000)
    registry = registered(good, plain("agent:bad", not_before=NOW))
    assert isinstance(ask(registry), Principal)
    assert isinstance(ask(registry, NOW - 1), Refusal)
    assert isinstance(ask(registry, NOW + 999.9), Principal)
    assert isinstance(ask(registry, NOW + 1000), Refusal)
    change(registry, "suspend", agent="agent:bad")
    assert isinstance(ask(registry), Refusal)
    assert isinstance(ask(registry, required=False), Refusal)
    change(registry, "resume", agent="agent:bad")
    assert isinstance(ask(registry), Principal)
    change(registry, "revoke", agent="agent:bad")
    assert isinstance(ask(registry), Refusal)
    assert isinstance(ask(registered(good)), Refusal)
    assert isinstance(ask(registered(good), required=False), Principal)


def test_a_refusal_says_to_the_log_who_and_why() -> None:
    refusal = chain_allowed(person("agent:ghost"), Registry(), NOW)
    assert refusal == Refusal("invalid_token", "agent:ghost: not registered")


@pytest.mark.parametrize(
    ("subject", "roles", "allowed"),
    [("person:alice", (), True), ("person:bob", (), False), ("person:bob", ("x", "clerk"), True)],
)
def test_an_agent_acts_for_those_it_was_made_for(subject: str, roles: tuple[str, ...], allowed: bool) -> None:
    asked = person("agent:bot", id=subject, roles=roles)
    assert isinstance(chain_allowed(asked, registered(profile()), NOW), Principal) is allowed
    behind = person("workload:spiffe://bank.example/x", "agent:bot", id=subject, roles=roles)
    assert isinstance(chain_allowed(behind, registered(profile()), NOW), Principal) is allowed


def test_an_agent_may_always_be_the_subject() -> None:
    nobodys = registered(profile(may_act_for=[]))
    assert isinstance(chain_allowed(person(id="agent:bot", kind="agent"), nobodys, NOW), Principal)


def test_nobody_acts_for_herself() -> None:
    registry = registered(profile(may_act_for=["*"]))
    assert isinstance(chain_allowed(person("agent:bot", id="agent:bot", kind="agent"), registry, NOW), Refusal)
    assert isinstance(chain_allowed(person("agent:bot", "person:alice"), registry, NOW), Refusal)


def test_the_workload_that_an_agent_runs_as_is_the_agent() -> None:
    registry = registered(profile())
    workload = person(id=f"workload:{SVID}", kind="workload")
    allowed = chain_allowed(workload, registry, NOW)
    assert isinstance(allowed, Principal)
    assert allowed.agent["id"] == "agent:bot"
    change(registry, "suspend")
    assert isinstance(chain_allowed(workload, registry, NOW), Refusal)
    assert isinstance(chain_allowed(person(f"workload:{SVID}"), registry, NOW), Refusal)


def test_an_identity_lasts_no_longer_than_any_agent_in_it() -> None:
    registry = registered(plain("agent:a", expires=NOW + 30), plain("agent:b", expires=NOW + 20))
    for chain, expires in (("agent:a",), NOW + 30), (("agent:a", "agent:b"), NOW + 20):
        allowed = chain_allowed(person(*chain), registry, NOW)
        assert isinstance(allowed, Principal)
        assert allowed.expires == expires


@pytest.mark.parametrize(
    ("actors", "thumbprint", "allowed"),
    [
        (("agent:bot",), KEY, True),
        (("agent:bot",), OTHER_KEY, False),
        (("agent:free",), OTHER_KEY, True),
        (("agent:free",), KEY, False),
        (("agent:free", "agent:bot"), KEY, False),
        ((), OTHER_KEY, True),
        ((), KEY, False),
        ((), 7, True),
    ],
)
def test_a_key_of_an_agents_own_proves_that_agent_alone(actors: Any, thumbprint: Any, allowed: bool) -> None:
    registry = registered(profile(), plain("agent:free"))
    asked = person(*actors, attributes={"cnf": {"jkt": thumbprint}})
    assert isinstance(chain_allowed(asked, registry, NOW), Principal) is allowed


def test_who_signs_with_its_key_is_that_agent() -> None:
    registry = registered(profile(expires=NOW + 30))
    vetting = Vetting(registry, required=True, vouches="the bank")
    signer = vetting.of_key(KEY, NOW)
    assert isinstance(signer, Principal)
    assert (signer.id, signer.kind, signer.actors, signer.expires) == ("agent:bot", "agent", (), NOW + 30)
    assert (signer.proof, signer.issuer, signer.agent["owner"]) == (("http-signature",), "the bank", "team:payments")
    assert isinstance(vetting.of_key(KEY, NOW + 30), Refusal)
    assert vetting.of_key(OTHER_KEY, NOW) == Refusal("invalid_signature", "no agent is registered with the key")
    before = vetting.epoch
    change(registry, "suspend")
    assert vetting.epoch > before
    assert isinstance(vetting.of_key(KEY, NOW), Refusal)


@pytest.mark.parametrize("required", [True, False])
def test_whether_agents_must_be_registered_is_configured(required: bool) -> None:
    answer = Vetting(Registry(), required, "the bank").allowed(person("agent:ghost"), NOW)
    assert isinstance(answer, Refusal) is required


NAMES = ["agent:a", "agent:b", "agent:c"]


@given(
    st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(["suspend", "resume", "revoke"]), max_size=3)),
    st.sampled_from(["person:alice", *NAMES]),
    st.permutations([*NAMES, "person:tina"]),
    st.integers(0, 4),
    st.floats(NOW - 10, NOW + 2000),
)
def test_no_chain_with_an_unfit_agent_is_ever_allowed(
    states: dict[str, list[Verb]], subject: str, order_of_actors: list[str], length: int, now: float
) -> None:
    registry = registered(*(plain(name, not_before=NOW) for name in states))
    for name, verbs in states.items():
        for verb in verbs:
            after = registry.after(order(verb, name), NOW)
            if isinstance(after, Agent):
                registry.put(after)
    asked = person(*order_of_actors[:length], id=subject, kind=subject.partition(":")[0])
    agents = [registry.get(name) for name in asked.chain() if name.startswith("agent:")]
    fine = all(agent and agent.state == "active" and NOW <= now < NOW + 1000 for agent in agents)
    allowed = chain_allowed(asked, registry, now)
    assert isinstance(allowed, Principal) is (fine and subject not in order_of_actors[:length])


# Orders


async def test_a_switch_works_and_can_be_turned_back(house: House) -> None:
    registrar, told = house.registrar, []
    for verb in ("add", "suspend", "suspend", "resume", "resume", "revoke", "revoke", "resume", "add", "replace"):
        told.append((await registrar.order(order(verb)))["outcome"])
    done = ["added", "suspended", "unchanged", "resumed", "unchanged", "revoked", "unchanged"]
    assert told == [*done, "refused", "refused", "refused"]
    assert [agent.state for agent in house.heard] == ["active", "suspended", "active", "revoked"]


async def test_an_order_is_on_record_with_who_when_and_why(house: House) -> None:
    for verb in ("add", "suspend"):
        house.now += 1
        answer = await house.registrar.order(order(verb))
    assert answer["agent"]["state"] == "suspended"
    assert answer["sessions_ended"] == 7
    assert await house.registrar.history("agent:bot") == [
        {"change": "suspend", "time": NOW + 2, "by": "analyst:jo", "reason": "suspend it"},
        {"change": "add", "time": NOW + 1, "by": "analyst:jo", "reason": "add it"},
    ]


async def test_what_is_declared_anew_keeps_its_state(house: House) -> None:
    await house.registrar.order(order("add"))
    await house.registrar.order(order("suspend"))
    fresh = plain("agent:bot", tools=["read"])
    assert (await house.registrar.order(order("add", declared=fresh)))["outcome"] == "refused"
    assert (await house.registrar.order(order("replace", declared=fresh)))["outcome"] == "replaced"
    assert (await house.registrar.order(order("replace", declared=fresh)))["outcome"] == "unchanged"
    agent = house.registry.get("agent:bot")
    assert agent is not None
    assert (agent.state, agent.profile.tools) == ("suspended", ("read",))


@pytest.mark.parametrize("verb", ["replace", "suspend", "resume", "revoke"])
async def test_nobody_orders_an_agent_that_is_not_there(house: House, verb: Verb) -> None:
    answer = await house.registrar.order(order(verb))
    assert answer == {"outcome": "refused", "reason": "agent:bot is not registered"}
    assert not house.heard


async def test_a_profile_of_the_past_or_of_somebody_else_is_refused(house: House) -> None:
    for declared in (plain("agent:bot", expires=NOW), plain("agent:other")):
        assert (await house.registrar.order(order("add", declared=declared)))["outcome"] == "refused"
    assert len(house.registry) == 0


async def test_a_proof_belongs_to_one_agent_alone(house: House) -> None:
    await house.registrar.order(order("add", declared=profile()))
    for proof in {"keys": [KEY]}, {"spiffe_id": SVID}:
        taken = plain("agent:thief", **proof)
        assert "another agent's" in (await house.registrar.order(order("add", "agent:thief", taken)))["reason"]
    assert house.registry.of_key(KEY) is house.registry.of_spiffe_id(SVID) is house.registry.get("agent:bot")
    await house.registrar.order(order("replace", declared=plain("agent:bot")))
    assert house.registry.of_key(KEY) is house.registry.of_spiffe_id(SVID) is None
    heir = await house.registrar.order(order("add", "agent:heir", profile(id="agent:heir")))
    assert heir["outcome"] == "added"


async def test_a_dry_run_says_and_changes_nothing(house: House) -> None:
    answer = await house.registrar.order(order("add"), dry_run=True)
    assert (answer["outcome"], answer["agent"]["state"]) == ("dry_run", "active")
    assert (await house.registrar.order(order("suspend"), dry_run=True))["outcome"] == "refused"
    assert (len(house.registry), house.heard, await house.registrar.history("agent:bot")) == (0, [], [])


def test_a_full_registry_takes_no_more() -> None:
    registry = Registry(most=1)
    change(registry, "add")
    refused = registry.after(order("add", "agent:more"), NOW)
    assert not isinstance(refused, Agent)
    assert isinstance(registry.after(order("suspend"), NOW), Agent)


def test_every_change_begins_an_epoch() -> None:
    registry, epochs = Registry(), []
    for verb in ("add", "suspend", "resume", "replace", "revoke"):
        declared = plain("agent:bot", tools=["x"]) if verb == "replace" else None
        after = registry.after(order(verb, declared=declared), NOW)
        assert isinstance(after, Agent)
        registry.put(after)
        epochs.append(registry.epoch)
    assert epochs == sorted(set(epochs))


def test_a_page_begins_after_the_last_one() -> None:
    registry = registered(*(plain(f"agent:{name}") for name in "dbca"))
    assert [agent.id for agent in registry.page("", 3)] == ["agent:a", "agent:b", "agent:c"]
    assert [agent.id for agent in registry.page("agent:c", 3)] == ["agent:d"]
    assert registry.page("agent:d", 3) == []


# The file


async def test_a_restart_finds_everything_again(house: House) -> None:
    await house.registrar.order(order("add", declared=profile()))
    await house.registrar.order(order("add", "agent:other"))
    await house.registrar.order(order("suspend"))
    before = [agent.told() for agent in house.registry.page("", 9)]
    await house.reopen()
    assert [agent.told() for agent in house.registry.page("", 9)] == before
    assert len(await house.registrar.history("agent:bot")) == 2
    assert house.registry.of_key(KEY) is house.registry.get("agent:bot")


def test_the_file_is_for_its_owner_alone_and_what_is_in_it_stays(tmp_path: Path) -> None:
    file = tmp_path / "agents.db"
    store = Store(file)
    store.append([Change("add", Agent(profile=profile(), changed=NOW, by="analyst:jo"))])
    store.close()
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600  # noqa: PTH116
    rows = sqlite3.connect(file)
    for statement in ("UPDATE changes SET who = 'nobody'", "DELETE FROM changes"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            rows.execute(statement)
    rows.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 99, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_vouches_for_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "agents.db").write_bytes(content)
    with pytest.raises(AgentsUnreadable):
        Store(tmp_path / "agents.db")


async def test_a_record_of_something_else_vouches_for_nobody(house: House) -> None:
    await house.registrar.order(order("add"))
    rows = sqlite3.connect(house.file)
    with rows:
        rows.execute("INSERT INTO changes VALUES (99, 'agent:bot', 'add', 0, '', '', x'7b7d')")
    rows.close()
    with pytest.raises(AgentsUnreadable):
        await House(house.file.parent).open()


# When the disk fails, or is slow


def fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise AgentsUnwritable("disk full")

    monkeypatch.setattr(Store, "append", full)


async def test_without_a_disk_an_agent_can_be_stopped_and_not_be_let_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.registrar.order(order("add"))
    with monkeypatch.context() as broken:
        fail(broken)
        with pytest.raises(AgentsUnwritable):
            await house.registrar.order(order("add", "agent:other"))
        assert house.registry.get("agent:other") is None
        with pytest.raises(AgentsUnwritable, match="in force until the gateway ends"):
            await house.registrar.order(order("suspend"))
        assert isinstance(chain_allowed(person("agent:bot"), house.registry, NOW), Refusal)
        assert [agent.state for agent in house.heard] == ["active", "suspended"]
    # What is owed comes onto record with the next order, be it the same one again.
    assert (await house.registrar.order(order("suspend")))["outcome"] == "unchanged"
    await house.reopen()
    agent = house.registry.get("agent:bot")
    assert agent is not None
    assert agent.state == "suspended"


async def test_a_file_that_sqlite_cannot_write_is_told_as_that(tmp_path: Path) -> None:
    house = await House(tmp_path).open()
    await house.registrar.order(order("add"))
    await house.registrar.close()
    with pytest.raises(AgentsUnwritable, match="closed"):
        await house.registrar.order(order("suspend"))


@pytest.mark.parametrize("slow", ["resume", "replace"])
@pytest.mark.parametrize("stop", ["suspend", "revoke"])
async def test_a_stop_waits_for_no_disk_and_is_undone_by_nothing_under_way(
    house: House, monkeypatch: pytest.MonkeyPatch, slow: Verb, stop: Verb
) -> None:
    """An order is being written when the agent is stopped: the stop holds at once, on record, and afterwards."""
    await house.registrar.order(order("add"))
    if slow == "resume":
        await house.registrar.order(order("suspend"))
        stop = "revoke"
    loop, began, go, append = asyncio.get_running_loop(), asyncio.Event(), threading.Event(), Store.append

    def slowly(store: Store, changes: Any) -> None:
        loop.call_soon_threadsafe(began.set)
        assert go.wait(10)
        append(store, changes)

    with monkeypatch.context() as held:
        held.setattr(Store, "append", slowly)
        declared = plain("agent:bot", tools=["anything"]) if slow == "replace" else None
        widening = asyncio.ensure_future(house.registrar.order(order(slow, declared=declared)))
        async with asyncio.timeout(15):
            await began.wait()
            stopping = asyncio.ensure_future(house.registrar.order(order(stop)))
            await asyncio.sleep(0)
            assert isinstance(chain_allowed(person("agent:bot"), house.registry, NOW), Refusal)
            assert not stopping.done()
            go.set()
            await asyncio.gather(widening, stopping)
    told = house.registry.get("agent:bot")
    assert told is not None
    assert told.state == ("suspended" if stop == "suspend" else "revoked")
    assert told.profile.tools == (("anything",) if (slow, stop) == ("replace", "suspend") else ("pay",))
    await house.reopen()
    assert house.registry.get("agent:bot") == told


async def test_an_order_is_carried_out_even_if_who_gave_it_goes_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, began, go, append = asyncio.get_running_loop(), asyncio.Event(), threading.Event(), Store.append

    def slowly(store: Store, changes: Any) -> None:
        loop.call_soon_threadsafe(began.set)
        assert go.wait(10)
        append(store, changes)

    monkeypatch.setattr(Store, "append", slowly)
    given = asyncio.ensure_future(house.registrar.order(order("add")))
    async with asyncio.timeout(20):
        await began.wait()
        given.cancel()
        await asyncio.wait([given])
        go.set()
        before = house.registry
        await house.reopen()
    assert house.registry.get("agent:bot") == before.get("agent:bot") is not None


# Any order of events


class Bank(RuleBasedStateMachine):
    """Operators order, time goes on, the gateway restarts; a model knows what each agent is."""

    names = st.sampled_from(NAMES)

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.house: House = self.loop.run_until_complete(House(Path(self.folder.name)).open())
        self.model: dict[str, tuple[str, float]] = {}  # state and expiry

    def order(self, verb: Verb, name: str, declared: Profile | None = None) -> str:
        epoch = self.house.registry.epoch
        answer = self.loop.run_until_complete(self.house.registrar.order(order(verb, name, declared)))
        assert (self.house.registry.epoch > epoch) is (answer["outcome"] not in ("unchanged", "refused"))
        return str(answer["outcome"])

    @rule(name=names, life=st.floats(1, 100))
    def add(self, name: str, life: float) -> None:
        expires = self.house.now + life
        outcome = self.order("add", name, plain(name, expires=expires))
        assert outcome == ("refused" if name in self.model else "added")
        if outcome == "added":
            self.model[name] = "active", expires

    @rule(name=names, life=st.floats(1, 100))
    def replace(self, name: str, life: float) -> None:
        expires = self.house.now + life
        outcome = self.order("replace", name, plain(name, expires=expires))
        state, before = self.model.get(name, ("revoked", 0.0))
        assert outcome == ("refused" if state == "revoked" else "unchanged" if before == expires else "replaced")
        if outcome == "replaced":
            self.model[name] = state, expires

    @rule(name=names, verb=st.sampled_from(["suspend", "resume", "revoke"]))
    def switch(self, name: str, verb: Verb) -> None:
        state, expires = self.model.get(name, ("unknown", 0.0))
        wanted = {"suspend": "suspended", "resume": "active", "revoke": "revoked"}[verb]
        done = {"suspend": "suspended", "resume": "resumed", "revoke": "revoked"}[verb]
        dead = state in ("unknown", "revoked")
        assert self.order(verb, name) == ("unchanged" if state == wanted else "refused" if dead else done)
        if not dead:
            self.model[name] = wanted, expires

    @rule(seconds=st.floats(0, 60))
    def wait(self, seconds: float) -> None:
        self.house.now += seconds

    @rule()
    @precondition(lambda self: self.model)
    def restart(self) -> None:
        before = self.house.registry.page("", 9)
        self.loop.run_until_complete(self.house.reopen())
        assert self.house.registry.page("", 9) == before

    @invariant()
    def answers_as_the_model_does(self) -> None:
        if not hasattr(self, "house"):
            return
        now, registry = self.house.now, self.house.registry
        fit = {name for name, (state, expires) in self.model.items() if state == "active" and now < expires}
        for name in NAMES:
            for chain in (name,), ("person:tina", name), (name, "person:tina"):
                assert isinstance(chain_allowed(person(*chain, expires=now + 1e6), registry, now), Principal) is (
                    name in fit
                )
        assert isinstance(chain_allowed(person(*NAMES), registry, now), Principal) is (fit == set(NAMES))

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.loop.run_until_complete(self.house.registrar.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.folder.cleanup()


TestBank = Bank.TestCase
TestBank.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
