"""What operators are told and do, on a whole gateway without its edge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from defense_lines import Cut, LedgerUnwritable
from defense_lines.ledger import store
from gateway.agents import Order, Profile, Registrar, Registry
from gateway.app import Gateway
from gateway.config import Config, Lines, NftablesLine, Route, Service
from gateway.operations import GatewayOperations
from gateway.sessions import Cut as SessionCut
from gateway.sessions import Session
from policy import AccessRequest, Actor, Decision, Principal
from telemetry import Event, EventBatch, Kind

DEADLINE = 20.0


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    (tmp_path / "run").mkdir(mode=0o700)
    config = Config(
        state=tmp_path,
        services={"bank": Service(address="127.0.0.1", port=1)},
        routes=(Route(prefix="/", service="bank"),),
        lines=Lines(nftables=NftablesLine()),
    )
    async with Gateway.open(config) as opened:
        yield opened


async def test_ready_says_what_is_missing(gateway: Gateway) -> None:
    ready, parts = GatewayOperations(gateway).readyz()
    assert not ready
    assert (parts["edge"]["envoys"], parts["detectors"], parts["ledger"]) == (0, False, True)
    assert parts["lines"]["nftables"] == "away"
    assert {line["name"]: line["state"] for line in GatewayOperations(gateway).lines()}["nftables"] == "away"


async def test_imported_history_is_shown_and_counted_and_never_judged(gateway: Gateway) -> None:
    operations, now = GatewayOperations(gateway), time.time()
    judged = gateway.bus.subscribe("a detector")
    shown = operations.events()
    showing = asyncio.ensure_future(anext(shown))
    await asyncio.sleep(0)
    rows = [Event(time=at, kind=Kind.FLOW, source="branch") for at in (1e9, now, now + 1e6)]
    answer = await operations.import_events(EventBatch.of(rows).to_bytes())
    assert answer == {"events": 2, "refused": {"in_future": 1}}
    async with asyncio.timeout(DEADLINE):
        assert (await showing)["source"] == "import:branch"
    await shown.aclose()  # type: ignore[attr-defined]
    assert judged.queued == 0
    assert not judged.published


async def test_a_cut_is_on_record(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = GatewayOperations(gateway)
    assert await operations.cut("principal", "person:bob", "fraud desk", "jo", dry_run=True) == {
        "outcome": "dry_run",
        "sessions": 0,
        "who": [],
    }
    assert await gateway.ledger.since(0, kinds=["cut"]) == []
    await operations.cut("principal", "person:bob", "person:bob called", "jo", dry_run=False)
    (entry,) = await gateway.ledger.since(0, kinds=["cut"])
    assert entry.record == Cut(
        kind="principal", value="person:bob", sessions=0, by="analyst:jo", reason="person:bob called"
    )
    assert b"bob" not in gateway.ledger.places.database.read_bytes()

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "stage_head", full)
    with pytest.raises(LedgerUnwritable, match="0 sessions were cut, but that is not on record"):
        await operations.cut("principal", "person:bob", "again", "jo", dry_run=False)
    assert not operations.readyz()[1]["ledger"]


def profile(name: str) -> Profile:
    declared = {"id": name, "owner": "team:x", "purpose": "p", "model": "m", "version": "1"}
    return msgspec.convert(declared | {"expires": time.time() + 99, "may_act_for": ["*"]}, Profile)


async def test_an_agent_is_stopped_on_record_and_its_streams_with_it(gateway: Gateway) -> None:
    operations, ended = GatewayOperations(gateway), list[str]()

    def end(cut: SessionCut) -> None:
        ended.append(cut.reason)

    add = Order(verb="add", agent="agent:bot", by="jo", reason="new", profile=profile("agent:bot"))
    assert (await operations.order_agent(add, dry_run=False))["outcome"] == "added"
    actors = (Actor("agent:other", "agent"), Actor("agent:bot", "agent"))
    principal = Principal(id="person:bob", kind="person", issuer="i", actors=actors, expires=time.time() + 99)
    request = AccessRequest(principal=principal, action="GET", service="bank", path="/", stream=True)
    decision = Decision(id="d-1", effect="allow", reasons=(), revision="r")
    gateway.sessions.open(Session("d-1", request, decision, time.time(), end))
    story = await operations.agent("agent:bot")
    assert story is not None
    assert (story["state"], story["sessions"], story["by"]) == ("active", 1, "analyst:jo")
    suspend = Order(verb="suspend", agent="agent:bot", by="jo", reason="odd")
    would = await operations.order_agent(suspend, dry_run=True)
    assert (would["outcome"], would["sessions"], would["agent"]["state"]) == ("dry_run", 1, "suspended")
    assert not ended
    answer = await operations.order_agent(suspend, dry_run=False)
    assert (answer["outcome"], answer["sessions_ended"], ended) == ("suspended", 1, ["agent_refused"])
    story = await operations.agent("agent:bot")
    assert story is not None
    assert [change["change"] for change in story["history"]] == ["suspend", "add"]
    assert [agent["state"] for agent in operations.agents("", 9)] == ["suspended"]
    assert await operations.agent("agent:ghost") is None


async def test_agents_stand_again_after_a_restart(gateway: Gateway) -> None:
    add = Order(verb="add", agent="agent:bot", by="jo", reason="new", profile=profile("agent:bot"))
    await GatewayOperations(gateway).order_agent(add, dry_run=False)
    again = await Registrar.open(gateway.config.state / "agents.db", registry := Registry(), lambda _: 0)
    assert registry.get("agent:bot") == gateway.agents.get("agent:bot")
    await again.close()


async def test_a_line_is_tried_with_what_nobody_has_and_the_story_is_on_record(gateway: Gateway) -> None:
    operations = GatewayOperations(gateway)
    async with asyncio.timeout(DEADLINE):
        while not gateway.ledger.declared("edge"):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    answer = await operations.test_line("edge", "jo", "is it there?")
    assert (answer["outcome"], answer["enforced"], answer["lifted"]) == ("passed", "enforced", "lifted")
    assert 0 < answer["enforced_ms"] < DEADLINE * 1e3
    story = await operations.block(answer["block"])
    assert story is not None
    assert (story["value"], story["lines"]["edge"]["cannot"]) == ("192.0.2.1", "")
    assert not gateway.ledger.live(time.time())
    assert (await operations.test_line("nftables", "jo", "is it there?"))["outcome"] == "failed"
    assert (await operations.test_line("nobody", "jo", "is it there?"))["outcome"] == "unknown"


async def test_a_drained_line_is_shown_so(gateway: Gateway) -> None:
    operations = GatewayOperations(gateway)
    assert (await operations.serve_line("edge", "drained", "jo", "patched"))["outcome"] == "drained"
    assert {line["name"]: line["service"] for line in operations.lines()}["edge"] == "drained"
    assert (await operations.serve_line("nobody", "drained", "jo", "patched"))["outcome"] == "unknown"
