"""Operators change policy data in a whole gateway without its edge: on record first, as a whole, and seen at once."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from defense_lines import DataChange, LedgerUnwritable
from defense_lines.ledger import store
from gateway.app import Gateway
from gateway.config import Config, Policy, Route, Service
from gateway.operations import GatewayOperations
from policy import AccessRequest, Principal

RULES = """package portcullis.access

decision := {"effect": "allow"} if input.action in data.roles[data.people[input.principal.id].role].may
"""
DATA: dict[str, Any] = {"people": {"person:bob": {"role": "clerk"}}, "roles": {"clerk": {"may": ["GET"]}}}
WHY: dict[str, Any] = {"reason": "person:bob moved", "by": "jo", "dry_run": False}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "access.rego").write_text(RULES)
    (tmp_path / "data.json").write_text(json.dumps(DATA))
    config = Config(
        state=tmp_path,
        services={"bank": Service(address="127.0.0.1", port=1)},
        routes=(Route(prefix="/", service="bank"),),
        policy=Policy(paths=(tmp_path / "access.rego",), data=tmp_path / "data.json"),
    )
    async with Gateway.open(config) as opened:
        yield opened


def may(gateway: Gateway, action: str) -> bool:
    bob = Principal(id="person:bob", kind="person", issuer="bank")
    request = AccessRequest(principal=bob, action=action, service="bank", path="/", time=time.time())
    return gateway.policies.pdp.decide(request).allowed


async def changes(gateway: Gateway) -> list[Any]:
    return [entry.record for entry in await gateway.ledger.since(0) if isinstance(entry.record, DataChange)]


async def test_a_change_is_on_record_and_seen_at_once(gateway: Gateway) -> None:
    operations = GatewayOperations(gateway)
    assert not may(gateway, "POST")
    patch = [
        {"op": "add", "path": "/roles/clerk/may/-", "value": "POST"},
        {"op": "copy", "from": "/people/person:bob", "path": "/people/person:eve"},
    ]
    answer = await operations.patch_policy_data(patch, **WHY)
    assert answer == {"outcome": "changed", "paths": ["/roles/clerk/may", "/people/person:eve"], "sessions_ended": 0}
    assert may(gateway, "POST")
    assert operations.policy_data(("roles",)) == {"value": {"clerk": {"may": ["GET", "POST"]}}}
    answer = await operations.put_policy_data(("people", "person:bob", "role"), "guest", **WHY)
    assert (answer["outcome"], may(gateway, "GET")) == ("changed", False)
    answer = await operations.remove_policy_data(("people", "person:bob", "role"), **WHY)
    assert (answer["outcome"], may(gateway, "GET")) == ("changed", True)
    patched, put, removed = await changes(gateway)
    assert patched.detail.splitlines() == [
        '{"op":"add","path":["roles","clerk","may","-"],"value":"POST"}',
        '{"from":["people","person:bob"],"op":"copy","path":["people","person:eve"]}',
    ]
    assert put.detail == '{"op":"put","path":["people","person:bob","role"],"value":"guest"}'
    assert removed == DataChange(
        detail='{"op":"remove","path":["people","person:bob","role"]}', by="analyst:jo", reason="person:bob moved"
    )
    assert b"bob" not in gateway.ledger.places.database.read_bytes()


async def test_what_changes_nothing_is_not_on_record(gateway: Gateway) -> None:
    operations = GatewayOperations(gateway)
    dry = {**WHY, "dry_run": True}
    assert (await operations.put_policy_data(("x",), 1, **dry)) == {"outcome": "dry_run", "paths": ["/x"]}
    assert (await operations.remove_policy_data(("x",), **WHY)) == {"outcome": "unchanged", "paths": []}
    half = [{"op": "add", "path": "/x", "value": 1}, {"op": "remove", "path": "/y"}]
    refused = await operations.patch_policy_data(half, **WHY)
    assert refused == {"outcome": "refused", "reason": "operation 1 at /y: there is no /y"}
    assert operations.policy_data(("x",)) is None
    assert await changes(gateway) == []


@pytest.mark.parametrize("path", [("portcullis",), ("portcullis", "access", "decision", "effect")])
async def test_data_does_not_lie_where_rules_are(gateway: Gateway, path: tuple[str, ...]) -> None:
    answer = await GatewayOperations(gateway).put_policy_data(path, {}, **WHY)
    assert answer["outcome"] == "refused"
    assert answer["reason"].startswith("the policy has a rule at /portcullis/access/decision")


async def test_without_a_record_nothing_changes(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "stage_head", full)
    with pytest.raises(LedgerUnwritable):
        await GatewayOperations(gateway).put_policy_data(("roles", "clerk", "may"), [], **WHY)
    assert may(gateway, "GET")


async def test_large_changes_are_cut_short_on_record_and_large_answers_refused(gateway: Gateway) -> None:
    operations = GatewayOperations(gateway)
    patch: list[dict[str, Any]] = [{"op": "add", "path": "/many", "value": {}}]
    patch += [{"op": "add", "path": f"/many/{number}", "value": "x" * 50} for number in range(1000)]
    assert (await operations.patch_policy_data(patch, **WHY))["outcome"] == "changed"
    (change,) = await changes(gateway)
    assert len(change.detail) < 20_000
    assert change.detail.splitlines()[-1].startswith("and 8")
    await operations.put_policy_data(("more",), [0] * 10_000, **WHY)
    assert operations.policy_data(("more",)) == {
        "outcome": "refused",
        "reason": "more than 10000 values: name a path in it",
    }


async def test_live_data_outlasts_a_reload_but_not_the_gateway(gateway: Gateway, tmp_path: Path) -> None:
    operations = GatewayOperations(gateway)
    await operations.put_policy_data(("people", "person:bob", "role"), "guest", **WHY)
    (tmp_path / "data.json").write_text(json.dumps(dict(DATA, new=1)))
    assert "revision" in await operations.reload_policy()
    assert (operations.policy_data(("new",)), may(gateway, "GET")) == ({"value": 1}, False)
