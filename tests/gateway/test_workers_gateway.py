"""Real judges beside a real gateway: as soon as a change returns, no worker answers by what was before."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import jwt
import pytest
import pytest_asyncio

from defense_lines import Revocation, Risk
from gateway.agents import Order, Profile
from gateway.devices import Posture
from gateway.identity import KeySet
from gateway.sessions import Cut
from gateway.transactions import KeyRing
from tests.gateway.edge_rig import until
from tests.gateway.issuer_rig import LocalIssuer, new_key, public
from tests.gateway.test_dpop import hashed
from tests.gateway.test_dpop import thumbprint as thumbprint_of
from tests.gateway.workers_rig import BOT, HOST, Caller, Site, after, hammering, rules, site

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUNDS = 10
Change = Callable[[], Awaitable[Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bank(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    issuer = LocalIssuer()
    async with issuer.serving(), site(tmp_path_factory.mktemp("workers"), issuer) as made:
        yield made


async def changes(bank: Site, token: str, change: Change, status: int, reason: str = "") -> None:
    """Make a change while every worker is asked without end: whoever is asked after it returned answers by it."""
    async with hammering(bank, token) as told:
        await until(lambda: all(told), "everybody answers")
        await change()
        changed = time.monotonic()
        await until(lambda: all(each[-1].sent > changed and len(each) > 5 for each in told), "all are asked again")
    wrong = [said for said in after(told, changed) if said.status != status or (reason and reason not in said.reasons)]
    assert not wrong, f"{len(wrong)} by what was before: {wrong[:3]}"


async def to_and_fro(bank: Site, token: str, there: Change, back: Change, status: int, reason: str = "") -> None:
    assert {said.status for said in await bank.everybody(token)} == {200}
    for _ in range(ROUNDS):
        await changes(bank, token, there, status, reason)
        await changes(bank, token, back, 200)


async def test_a_block_and_its_end(bank: Site) -> None:
    blocks: list[str] = []

    async def add() -> None:
        answer = await bank.operations.add_block("principal", "person:blocked", 60.0, "test", "jo", True)
        assert answer["outcome"] == "accepted"
        blocks.append(answer["block"])

    async def lift() -> None:
        block = blocks.pop()
        assert (await bank.operations.lift_block(block, "jo", "test"))["outcome"] == "lifted"
        await until(lambda: block not in bank.gateway.blocklist.active(), "the edge line has lifted it")

    await to_and_fro(bank, bank.token("blocked"), add, lift, 403, "blocked")


async def test_live_data(bank: Site) -> None:
    path = ("closed", "person:data")
    put = partial(bank.operations.put_policy_data, path, True, "test", "jo", False)
    remove = partial(bank.operations.remove_policy_data, path, "test", "jo", False)
    await to_and_fro(bank, bank.token("data"), put, remove, 403, "closed")


async def test_a_patch_of_live_data(bank: Site) -> None:
    await bank.operations.put_policy_data(("closed", "person:nobody"), True, "test", "jo", False)
    way = "/closed/person:patched"
    there = partial(bank.operations.patch_policy_data, [{"op": "add", "path": way, "value": 1.5}], "test", "jo", False)
    back = partial(bank.operations.patch_policy_data, [{"op": "remove", "path": way}], "test", "jo", False)
    await to_and_fro(bank, bank.token("patched"), there, back, 403, "closed")


async def test_risk(bank: Site) -> None:
    async def raise_it() -> None:
        bank.gateway.risks.set(
            Risk(principal="person:risky", level="high", expires=time.time() + 60, reason="test", by="jo")
        )

    async def end() -> None:
        bank.gateway.risks.expire(time.time() + 61)

    await to_and_fro(bank, bank.token("risky"), raise_it, end, 403, "risky")


async def test_an_agent_that_is_stopped(bank: Site) -> None:
    profile = Profile(
        id=BOT,
        owner="team:test",
        purpose="test",
        model="m",
        version="1",
        expires=time.time() + 600,
        may_act_for=("*",),
    )
    await bank.operations.order_agent(Order(verb="add", agent=BOT, by="jo", profile=profile), False)
    stop = partial(bank.operations.order_agent, Order(verb="suspend", agent=BOT, by="jo"), False)
    resume = partial(bank.operations.order_agent, Order(verb="resume", agent=BOT, by="jo"), False)
    await to_and_fro(bank, bank.token("alice", act={"sub": BOT}), stop, resume, 401)


async def test_a_revocation(bank: Site) -> None:
    for number in range(ROUNDS):
        name = f"person:revoked-{number}"

        async def revoke(name: str = name) -> None:
            now = time.time()
            bank.gateway.revocations.put(
                Revocation(kind="principal", value=name, before=now, until=now + 60, reason="test", by="jo")
            )

        await changes(bank, bank.token(f"revoked-{number}"), revoke, 401, "invalid_token")


async def test_a_device(bank: Site) -> None:
    async def learn(compliant: bool) -> None:
        bank.gateway.devices.learn("laptop-1", Posture(compliant, time.time()))

    token = bank.token("mobile", device_id="laptop-1")
    await to_and_fro(bank, token, partial(learn, False), partial(learn, True), 403, "device")


async def test_keys_of_an_issuer(bank: Site) -> None:
    issuer = bank.issuer

    async def put(keys: dict[str, Any]) -> None:
        entries = [public(kid, key) for kid, key in keys.items()]
        bank.gateway.identification.put_keys(issuer.url, KeySet.parse({"keys": entries}))

    token = bank.token("keyed")
    for _ in range(2):  # each refusal asks the issuer once more, and waits
        await changes(bank, token, partial(put, {"other": new_key()}), 401)
        await changes(bank, token, partial(put, issuer.keys), 200)


async def test_a_policy_is_live_everywhere_at_once(bank: Site) -> None:
    token = bank.token("reader")
    await bank.operations.put_policy_data(("closed", "person:reader"), True, "test", "jo", False)
    for version in ("v1", "v2"):
        bank.rules.write_text(rules(version))
        before = bank.gateway.replicas
        assert before is not None
        pids = before.pids()

        async def reload() -> None:
            assert "problems" not in await bank.operations.reload_policy()

        await changes(bank, token, reload, 403, version)
        assert before.pids() == pids, "nobody had to begin anew"
    bundles = [file.name for file in (bank.gateway.run).glob("policy-*")]
    assert len(bundles) == 2
    assert f"policy-{bank.gateway.policies.pdp.revision}.bundle" in bundles


async def test_a_policy_that_does_not_compile_changes_nothing(bank: Site) -> None:
    good = bank.rules.read_text()
    bank.rules.write_text("package portcullis.access\n\ndecision := nonsense(")
    answer = await bank.operations.reload_policy()
    bank.rules.write_text(good)
    assert answer["problems"]
    assert {said.status for said in await bank.everybody(bank.token())} == {200}


async def test_transaction_tokens_are_signed_by_the_ring_that_signs_now(bank: Site) -> None:
    def kids(answers: list[Any]) -> set[str]:
        return {jwt.get_unverified_header(said.headers["txn-token"])["kid"] for said in answers}

    assert kids(await bank.everybody(bank.token("first"))) == {bank.gateway.signing.ring.keys[0].kid}
    fresh = KeyRing.first(new_key, 0.0)
    bank.gateway.minter.put_ring(fresh)
    bank.gateway.told.ring(fresh)
    assert kids(await bank.everybody(bank.token("second"))) == {fresh.keys[0].kid}


async def test_who_was_cut_learns_by_which_cut_from_everybody(bank: Site) -> None:
    cut = Cut.because("blocked", "test", 0.0)
    bank.gateway.recent.keep(("person:cut",), time.time() + 60, cut)
    await bank.operations.put_policy_data(("closed", "person:cut"), True, "test", "jo", False)
    assert {said.body["cut"] for said in await bank.everybody(bank.token("cut"))} == {cut.id}


async def test_a_proof_counts_once_whoever_is_asked(bank: Site) -> None:
    key = new_key()
    token = bank.token("holder", cnf={"jkt": thumbprint_of(key)})
    await asyncio.sleep(1.1)  # what was made before this gateway began does not count

    def proof(name: str) -> dict[str, str]:
        said = {"jti": name, "htm": "GET", "htu": f"https://{HOST}/accounts/1", "iat": int(time.time())}
        header = {"typ": "dpop+jwt", "jwk": public("", key)}
        return {
            "authorization": f"DPoP {token}",
            "dpop": jwt.encode(said | {"ath": hashed(token)}, key, "ES256", header),
        }

    _, first, second = bank.callers
    once = proof("p-1")
    assert (await first.ask("", **once)).status == 200
    assert [(await caller.ask("", **once)).status for caller in bank.callers] == [401, 401, 401]
    assert (await second.ask("", **proof("p-2"))).status == 200
    without = await bank.everybody("", authorization=f"DPoP {token}")
    assert {(said.status, said.headers.get("dpop-nonce")) for said in without} == {
        (401, without[0].headers.get("dpop-nonce"))
    }


async def test_the_issuer_is_asked_once_for_all(bank: Site) -> None:
    claims = {"active": True, "sub": "opaque", "aud": "bank", "client_id": "c", "exp": int(time.time()) + 300}
    bank.issuer.tokens["opaque-token"] = claims
    asked = bank.issuer.asked["introspect"]
    said = await bank.everybody("opaque-token")
    assert {each.status for each in said} == {200}
    routes = {each.headers.get("x-portcullis-route", "") for each in said}
    assert len(routes) == 1  # without its route the edge lets nothing pass
    assert "" not in routes
    assert bank.issuer.asked["introspect"] == asked + 1
    assert {said.status for said in await bank.everybody("another-token")} == {401}


async def test_a_key_that_nobody_knows_yet_is_fetched_for_all(bank: Site) -> None:
    bank.issuer.keys = {"k-new": new_key(), **bank.issuer.keys}
    token = bank.token("rotated")
    assert (await bank.callers[1].ask(token)).status == 200
    assert {said.status for said in await bank.everybody(token)} == {200}


async def test_what_judges_decide_is_on_record_and_counted(bank: Site) -> None:
    decided = {said.headers["x-portcullis-decision"] for said in await bank.everybody(bank.token("recorded"))}
    assert len(decided) == 3

    def kept() -> bool:
        return decided <= {record["id"] for record in bank.operations.decisions(2_000)}

    await until(kept, "all decisions are on record")

    def allowed() -> float:
        (line,) = (
            line
            for line in bank.operations.metrics().decode().splitlines()
            if line.startswith('portcullis_policy_decisions_total{effect="allow"}')
        )
        return float(line.split()[-1])

    before = allowed()
    for _ in range(10):
        await bank.everybody(bank.token("counted"))
    await until(lambda: allowed() >= before + 30, "all decisions are counted")


async def test_ids_are_each_workers_own(bank: Site) -> None:
    answers = [said for _ in range(20) for said in await bank.everybody("no-token-of-anybody.at.all")]
    answers += [said for _ in range(20) for said in await bank.everybody(bank.token("ids"))]
    assert len({said.headers["x-portcullis-decision"] for said in answers}) == len(answers)


async def test_no_judge_answers_while_it_cannot_know_what_counts(bank: Site) -> None:
    """A change that cannot be told: until a judge has been given the whole state it answers nobody."""
    replicas = bank.gateway.replicas
    assert replicas is not None
    callers = [Caller(caller.socket) for caller in bank.callers[1:]]
    for caller in callers:
        await caller.ask(bank.token())
    replicas.restart("test")
    bank.gateway.policies.pdp.data.journal = None
    bank.gateway.policies.pdp.put_data(("closed", "person:untold"), True)
    bank.gateway.policies.pdp.data.journal = bank.gateway.told
    for caller in callers:
        with pytest.raises((OSError, EOFError)):
            await caller.ask(bank.token("untold"))
    await bank.live()
    for caller in bank.callers:
        caller.close()
    assert {said.status for said in await bank.everybody(bank.token("untold"))} == {403}


async def test_a_judge_that_joins_later_knows_all_that_stands(bank: Site) -> None:
    gateway, operations, now = bank.gateway, bank.operations, time.time()
    await operations.add_block("principal", "person:late-blocked", 60.0, "test", "jo", True)
    gateway.revocations.put(
        Revocation(kind="principal", value="person:late-revoked", before=now, until=now + 60, reason="t", by="jo")
    )
    profile = Profile(
        id="agent:late", owner="team:test", purpose="p", model="m", version="1", expires=now + 600, may_act_for=("*",)
    )
    await operations.order_agent(Order(verb="add", agent=profile.id, by="jo", profile=profile), False)
    gateway.devices.learn("laptop-late", Posture(False, now))
    await operations.put_policy_data(("closed", "person:late-closed"), True, "test", "jo", False)
    gateway.risks.set(Risk(principal="person:late-risky", level="high", expires=now + 60, reason="t", by="jo"))
    gateway.recent.keep(("person:late-blocked",), now + 60, Cut.because("blocked", "test", 0.0))
    token = bank.token
    shown = {
        token("late"): 200,
        token("late-blocked"): 403,
        token("late-revoked"): 401,
        token("late", act={"sub": profile.id}): 200,
        token("late", act={"sub": "agent:unknown"}): 401,
        token("late", device_id="laptop-late"): 403,
        token("late-closed"): 403,
        token("late-risky"): 403,
    }
    replicas = gateway.replicas
    assert replicas is not None
    for pid in replicas.pids().values():
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not replicas.pids(), "both judges are gone")
    await bank.live()
    for caller in bank.callers:
        caller.close()
    for each, status in shown.items():
        told = await bank.everybody(each)
        assert [said.status for said in told] == [status] * 3
        kept = [{name: value for name, value in said.body.items() if name != "decision"} for said in told]
        assert kept[1:] == kept[:1] * 2
    signed = [
        jwt.get_unverified_header(said.headers["txn-token"])["kid"] for said in await bank.everybody(token("last"))
    ]
    assert len(set(signed)) == 1
