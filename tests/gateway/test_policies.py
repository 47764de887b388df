"""The gateway's policies by a real OPA: loaded, judged by, reloaded, and still right after OPA was away."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import gateway.policies
import policy.revision
from defense_lines import Risk
from gateway.config import OpaServer, Policy
from gateway.enforcement import Answer, Attempt
from gateway.identity import Credentials
from gateway.policies import Policies, Rules
from gateway.risk import Risks
from policy import read_bundle
from policy.rego import compile_program
from tests.gateway.parts import Bank
from tests.policy.real_opa import RealOpa, opa_binary

DATA = {"accounts": {"1001": {"owner": "person:alice"}, "1002": {"owner": "person:bob"}}}
SCOPE = "accounts:read payments:write"
PAYMENT = b'{"from": "1001", "to": "x", "amount": 10}'
FOREVER = 4e9


@pytest.fixture
async def opa() -> AsyncIterator[RealOpa]:
    real = RealOpa(opa_binary())
    await real.start()
    yield real
    await real.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The starter policy and its data, to be changed."""
    for name, source in read_bundle().sources.items():
        (tmp_path / Path(name).name).write_text(source)
    (tmp_path / "data.json").write_text(json.dumps(DATA))
    return tmp_path


class Gatehouse:
    """Policies by OPA, and a judge that asks them."""

    def __init__(self, policies: Policies) -> None:
        self.policies = policies
        self.risks = Risks(policies.pdp)
        self.bank = Bank(policies.pdp)

    async def ask(self, method: str, target: str, body: bytes = b"", **claims: Any) -> Answer:
        token = self.bank.token(scope=SCOPE, **claims)
        return await self.bank.judge.ask(
            Attempt(method, target, "bank.example", "10.0.0.5", Credentials(f"Bearer {token}"), body)
        )

    async def pay(self, **claims: Any) -> Answer:
        return await self.ask("POST", "/payments", PAYMENT, **claims)

    async def read(self, account: str) -> Answer:
        return await self.ask("GET", f"/accounts/{account}")

    def raise_risk(self, principal: str) -> None:
        self.risks.set(Risk(principal=principal, level="high", expires=FOREVER, reason="r", by="test"))


@pytest.fixture
async def house(opa: RealOpa, folder: Path) -> AsyncIterator[Gatehouse]:
    settings = Policy(
        engine="opa",
        paths=(folder,),
        data=folder / "data.json",
        opa=OpaServer(port=opa.port, timeout_ms=10_000),
    )
    policies = await Policies.load(settings)
    yield Gatehouse(policies)
    await policies.aclose()


async def test_allow_deny_and_step_up(house: Gatehouse) -> None:
    assert (await house.read("1001")).status == 200
    denied = await house.read("1002")
    assert (denied.status, denied.reasons) == (403, ("not_your_account",))
    assert (await house.pay()).status == 200
    house.raise_risk("person:alice")
    stronger = await house.pay()
    assert (stronger.status, stronger.effect) == (401, "step_up")
    assert 'acr_values="urn:bank:strong"' in stronger.challenge
    house.risks.expire(FOREVER + 1)
    assert (await house.pay()).status == 200


async def test_risk_raised_while_opa_was_away_counts_when_it_is_back(house: Gatehouse, opa: RealOpa) -> None:
    assert (await house.pay()).status == 200
    await opa.kill()
    house.raise_risk("person:alice")
    house.raise_risk("agent:bot")
    refused = await house.pay()
    assert (refused.status, refused.reasons) == (503, ("policy_unavailable",))
    await opa.start()
    assert (await house.pay()).status == 401
    acted = await house.ask("GET", "/accounts/1001", act={"sub": "agent:bot"})
    assert acted.reasons == ("agent_at_risk",)
    assert (await house.read("1001")).status == 200


async def test_an_opa_that_loads_the_policy_itself_does_not_forget_the_risk(
    house: Gatehouse, opa: RealOpa, folder: Path
) -> None:
    house.raise_risk("person:alice")
    assert (await house.pay()).status == 401
    await opa.kill()
    await opa.start(folder)
    answers = await asyncio.gather(*(house.pay() for _ in range(20)))
    assert {answer.status for answer in answers} == {401}


async def test_a_reload_is_live_when_it_returns(house: Gatehouse, opa: RealOpa, folder: Path) -> None:
    assert (await house.read("1001")).status == 200
    before = house.policies.pdp.revision
    rules = folder / "access.rego"
    rules.write_text(rules.read_text() + '\ndeny contains "closed" if account\n')
    assert await house.policies.reload() == ()
    answer = await house.read("1001")
    assert (answer.status, answer.reasons) == (403, ("closed",))
    assert answer.decision is not None
    assert answer.decision.revision == house.policies.pdp.revision != before
    await opa.kill()
    await opa.start()
    assert (await house.read("1001")).reasons == ("closed",)


async def test_a_reload_that_fails_leaves_the_old_policy(house: Gatehouse, folder: Path) -> None:
    (folder / "access.rego").write_text("package portcullis.access\n\ndecision := nothing_like_it\n")
    assert await house.policies.reload()
    assert (await house.read("1001")).status == 200


async def test_while_rules_are_reloaded_no_answer_is_of_neither(house: Gatehouse, folder: Path) -> None:
    """Every answer is the old policy's or the new one's, and the new one's from the reload's return on."""
    rules = folder / "access.rego"
    assert (await house.read("1001")).status == 200
    rules.write_text(rules.read_text() + '\ndeny contains "closed" if account\n')
    done = asyncio.Event()

    async def ask() -> set[tuple[str, ...]]:
        seen = set()
        while not done.is_set():
            seen.add((await house.read("1001")).reasons)
        return seen

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(ask()) for _ in range(4)]
        await house.policies.reload()
        after = await house.read("1001")
        done.set()
    assert after.reasons == ("closed",)
    assert set().union(*(task.result() for task in asking)) <= {(), ("closed",)}


async def test_policy_is_compiled_in_a_thread(opa: RealOpa, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def noting(name: str) -> None:
        real = getattr(gateway.policies, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            threads.append(threading.current_thread())
            return real(*args, **kwargs)

        monkeypatch.setattr(gateway.policies, name, noted)

    for name in ("opa_pdp", "embedded_pdp", "compile_bundle", "read_bundle"):
        noting(name)
    for engine in ("opa", "embedded"):
        policies = await Policies.load(Policy.model_validate({"engine": engine, "paths": [folder]}))
        await policies.reload()
        await policies.aclose()
    assert len(threads) == 8
    assert threading.main_thread() not in threads


ALLOW = 'package portcullis.access\n\ndecision := {"effect": "allow"}\n'


async def test_rules_compiled_ahead_are_taken_only_where_they_are_the_configured_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []

    def compiling(*given: Any, **how: Any) -> Any:
        compiled.append(given)
        return compile_program(*given, **how)

    monkeypatch.setattr(policy.revision, "compile_program", compiling)
    file, data = tmp_path / "a.rego", tmp_path / "data.json"
    file.write_text(ALLOW)
    data.write_text('{"limit": 1}')
    settings = Policy(paths=(file,), data=data)
    rules = Rules.ahead(settings)

    async def compiles(settings: Policy) -> int:
        before = len(compiled)
        policies = await Policies.load(settings, None, rules)
        assert policies.pdp.revision == read_bundle(settings.paths, settings.data).revision
        assert policies.pdp.data.document == json.loads(data.read_text())
        await policies.aclose()
        return len(compiled) - before

    assert await compiles(settings) == 0
    data.write_text('{"limit": 2}')
    assert await compiles(settings) == 0
    assert await compiles(settings.model_copy(update={"strict_builtin_errors": True})) == 1
    file.write_text(ALLOW.replace("allow", "deny"))
    assert await compiles(settings) == 1
