"""Against a real OPA: the same policies and questions get the same answers. Skipped where there is no `opa`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from policy import (
    AccessRequest,
    Actor,
    Bundle,
    OpaServer,
    Pdp,
    PolicyError,
    Principal,
    compile_bundle,
    embedded_pdp,
    opa_pdp,
    read_bundle,
)
from policy.data import pointer_to
from policy.question import access_input
from tests.policy.real_opa import RealOpa, Relay, opa_binary

DATA = {"accounts": {"1001": {"owner": "person:alice"}, "1002": {"owner": "person:bob"}}}
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def opa() -> Path:
    return opa_binary()


def questions() -> Iterator[AccessRequest]:
    kinds = [("person:alice", "person"), ("person:tina", "person"), ("agent:x", "agent")]
    kinds.append(("workload:spiffe://bank.example/batch", "workload"))
    bodies: list[Any] = [
        None,
        {"from": "1001", "to": "x", "amount": 10},
        {"from": "1002", "amount": 10**9},
        {"amount": "1"},
    ]
    asked = [
        ("GET", "/accounts/1001"),
        ("GET", "/streams/accounts/1002"),
        ("POST", "/payments"),
        ("CALL", "/bank.Ledger/Watch"),
    ]
    for (name, kind), (action, path), body, acted in itertools.product(kinds, asked, bodies, (False, True)):
        principal = Principal(
            id=name,
            kind=kind,  # type: ignore[arg-type]
            issuer="bank",
            actors=(Actor("agent:bot", "agent"),) if acted else (),
            scopes=("accounts:read", "payments:write"),
            roles=("teller",) if name == "person:tina" else (),
            attributes={"limit": 500},
        )
        yield AccessRequest(principal=principal, action=action, service="s", path=path, body=body, time=NOW)


def evaluate(opa: Path, folder: Path, inputs: list[Any], data: Any) -> list[Any]:
    """OPA's own answers, in one run: undefined answers are None."""
    (folder / "data.json").write_text(json.dumps({**data, "questions": inputs}))
    for name, source in read_bundle().sources.items():
        (folder / Path(name).name).write_text(source)
    query = "[[i, d] | some i, q in data.questions; d := data.portcullis.access.decision with input as q]"
    command = [str(opa), "eval", "--format", "json", "--data", str(folder), query]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    answers = dict(found["result"][0]["expressions"][0]["value"])
    return [answers.get(index) for index in range(len(inputs))]


def test_starter_policy_answers_as_opa_does(opa: Path, tmp_path: Path) -> None:
    data = {**DATA, "risk": {"person:alice": "high"}}
    pdp = embedded_pdp(Bundle(read_bundle().sources, data))
    requests = list(questions())
    wanted = evaluate(opa, tmp_path, [access_input(one) for one in requests], data)
    for request, want in zip(requests, wanted, strict=True):
        decision = pdp.decide(request)
        if want is None:
            assert decision.reasons == ("no_rule",)
        else:
            assert (decision.effect, list(decision.reasons)) == (want["effect"], want["reasons"])
            assert decision.obligations == want.get("obligations", {})


def test_what_opa_refuses_is_refused(opa: Path) -> None:
    typed = 'package portcullis.access\n\ndecision := {"effect": "allow"} if upper(1) == "x"\n'
    with pytest.raises(PolicyError, match=r"a\.rego:3:\d+: opa check"):
        compile_bundle(Bundle({"a.rego": typed}, {}))


@pytest.fixture
async def server(opa: Path) -> AsyncIterator[RealOpa]:
    real = RealOpa(opa)
    await real.start()
    try:
        yield real
    finally:
        await real.kill()


@contextlib.asynccontextmanager
async def asking(bundle: Bundle, port: int, timeout: float = 10) -> AsyncIterator[Pdp]:
    pdp = opa_pdp(bundle, OpaServer(port=port, timeout=timeout, failures=1_000))
    try:
        yield pdp
    finally:
        await pdp.aclose()


async def test_opa_engine_answers_as_the_embedded_one(server: RealOpa) -> None:
    bundle = Bundle(read_bundle().sources, DATA)
    remote, embedded = opa_pdp(bundle, OpaServer(port=server.port, timeout=10)), embedded_pdp(bundle)
    try:
        for request in itertools.islice(questions(), 0, None, 5):
            here, there = embedded.decide(request), await remote.ask(request)
            assert (here.effect, sorted(here.reasons)) == (there.effect, sorted(there.reasons))
            assert there.depends
        request = next(one for one in questions() if one.path == "/payments" and one.body and one.body.get("to"))
        assert (await remote.ask(request)).effect == "allow"
        remote.put_data(("risk", "person:alice"), "high")
        assert (await remote.ask(request)).effect == "step_up"
        changed = Bundle({"only.rego": 'package portcullis.access\n\ndecision := {"effect": "deny"}\n'}, {})
        remote.activate(compile_bundle(changed))
        assert (await remote.ask(request)).reasons == ()
        remote.activate(compile_bundle(bundle))
        assert (await remote.ask(request)).effect == "step_up"
        remote.remove_data(("risk", "person:alice"))
        assert (await remote.ask(request)).effect == "allow"
    finally:
        await remote.aclose()


STARTER = Bundle(read_bundle().sources, DATA)
PACKAGE = "package portcullis.access\n\n"


def payment() -> AccessRequest:
    return next(one for one in questions() if one.path == "/payments" and one.body and one.body.get("to"))


def bundle_of(rule: str, data: Any = None) -> Bundle:
    return Bundle({"a.rego": PACKAGE + rule}, data or {})


async def test_a_restarted_opa_is_given_everything_again(server: RealOpa) -> None:
    async with asking(STARTER, server.port) as pdp:
        pdp.put_data(("risk", "person:alice"), "high")
        assert (await pdp.ask(payment())).effect == "step_up"
        await server.kill()
        assert (await pdp.ask(payment())).reasons == ("policy_unavailable",)
        await server.start()
        assert (await pdp.ask(payment())).effect == "step_up"


async def test_a_restarted_opa_with_the_policy_on_its_disk_lacks_the_risk_until_it_is_given(
    server: RealOpa, tmp_path: Path
) -> None:
    files = [tmp_path / "access.rego", tmp_path / "data.json"]
    files[0].write_text(STARTER.sources["starter/access.rego"])
    files[1].write_text(json.dumps(DATA))
    async with asking(STARTER, server.port) as pdp:
        pdp.put_data(("risk", "person:alice"), "high")
        assert (await pdp.ask(payment())).effect == "step_up"
        await server.kill()
        await server.start(*files)
        assert [(await pdp.ask(payment())).effect for _ in range(5)] == ["step_up"] * 5


async def test_an_older_policy_on_its_disk_does_not_mix_with_ours(server: RealOpa, tmp_path: Path) -> None:
    old = tmp_path / "old.rego"
    old.write_text(PACKAGE + 'decision := {"effect": "allow"} if input.path == "/payments"\n')
    async with asking(bundle_of('decision := {"effect": "allow"} if input.path == "/other"'), server.port) as pdp:
        assert (await pdp.ask(payment())).reasons == ("no_rule",)
        await server.kill()
        await server.start(old)
        assert (await pdp.ask(payment())).reasons == ("policy_unavailable",)


async def test_data_on_its_disk_that_our_rules_read_goes(server: RealOpa, tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    data.write_text('{"exempt": {"person:alice": true}, "others": 1}')
    await server.kill()
    await server.start(data)
    rule = 'decision := {"effect": "allow"} if data.exempt[input.principal.id]'
    async with asking(bundle_of(rule), server.port) as pdp:
        assert (await pdp.ask(payment())).reasons == ("no_rule",)
        pdp.put_data(("exempt", "person:alice"), True)
        assert (await pdp.ask(payment())).allowed
    assert (await server.data())["others"] == 1


async def test_rules_that_somebody_else_changes_do_not_count(server: RealOpa) -> None:
    rule = 'decision := {{"effect": "{}"}} if input.action'
    one, other = bundle_of(rule.format("deny")), bundle_of(rule.format("allow"))
    async with asking(one, server.port) as ours, asking(other, server.port) as theirs:
        for _ in range(3):
            assert (await ours.ask(payment())).reasons == ()
            assert (await theirs.ask(payment())).allowed


async def test_modules_that_call_one_another_arrive_in_any_order(server: RealOpa) -> None:
    caller = PACKAGE + "decision := data.lib.answer(input.path)"
    one = 'package lib\n\nanswer(path) := {"effect": "allow", "reasons": [path]}'
    other = 'package portcullis.access\n\ndecision := {"effect": "allow", "reasons": [helped]}\n\nhelped := "now"'
    async with asking(Bundle({"a.rego": caller, "lib.rego": one}, {}), server.port) as pdp:
        assert (await pdp.ask(payment())).reasons == ("/payments",)
        pdp.activate(compile_bundle(Bundle({"lib.rego": "package lib\n\nother := 1", "z.rego": other}, {})))
        assert (await pdp.ask(payment())).reasons == ("now",)


async def test_an_answer_on_its_way_while_risk_rises_does_not_count(server: RealOpa) -> None:
    async with Relay().to(server.port) as relay, asking(STARTER, relay.port) as pdp:
        assert (await pdp.ask(payment())).allowed
        relay.shut()
        asked = asyncio.create_task(pdp.ask(payment()))
        async with asyncio.timeout(10):
            await relay.waiting.wait()
            pdp.put_data(("risk", "person:alice"), "high")
            relay.gate.set()
            assert (await asked).effect == "step_up"


async def test_an_answer_on_its_way_while_rules_change_does_not_count(server: RealOpa) -> None:
    changed = compile_bundle(bundle_of('decision := {"effect": "deny", "reasons": ["closed"]}'))
    async with Relay().to(server.port) as relay, asking(STARTER, relay.port) as pdp:
        assert (await pdp.ask(payment())).allowed
        relay.shut()
        asked = asyncio.create_task(pdp.ask(payment()))
        async with asyncio.timeout(10):
            await relay.waiting.wait()
            pdp.activate(changed)
            relay.gate.set()
            decision = await asked
        assert (decision.reasons, decision.revision) == (("closed",), changed.id)
        assert not decision.depends


async def test_a_push_may_take_longer_than_a_question(server: RealOpa) -> None:
    async with Relay().to(server.port) as relay, asking(STARTER, relay.port, timeout=0.05) as pdp:
        relay.shut()
        for _ in range(3):
            assert (await pdp.ask(payment())).reasons == ("policy_unavailable",)
        relay.gate.set()
        async with asyncio.timeout(10):
            while not (await pdp.ask(payment())).allowed:
                pass


async def test_a_contradiction_is_no_reason_to_push(server: RealOpa) -> None:
    rule = 'decision := {"effect": "allow"} if input.action\n\ndecision := {"effect": "deny"} if input.body'
    async with asking(bundle_of(rule), server.port) as pdp:
        assert (await pdp.ask(payment())).reasons == ("policy_error",)
        held = (await server.data())["portcullis_state"]
        assert (await pdp.ask(payment())).effect == "deny"
        assert (await server.data())["portcullis_state"] == held


def changes(random: Random, number: int) -> Iterator[tuple[str, Any]]:
    """Operations on live data, some of which cannot be done."""

    def path() -> tuple[str, ...]:
        return tuple(random.choice("abc/~") for _ in range(random.randint(1, 3)))

    def value(depth: int = 2) -> Any:
        if depth and random.random() < 0.6:
            return {random.choice("abc/~"): value(depth - 1) for _ in range(2)} if random.random() < 0.6 else [1, [2]]
        return random.choice([None, True, 0, "text", 1.5, 10**30])

    for _ in range(number):
        pointer = pointer_to(random.choice([path(), ("base", "list", "0"), ("base", "list", "-"), ("base", "a", "b")]))
        step = {"op": random.choice(["add", "remove", "replace"]), "path": pointer, "value": value()}
        yield random.choice([("put", (path(), value())), ("remove", (path(),)), ("patch", ([step],))])


@pytest.mark.parametrize("seed", range(4))
async def test_opa_holds_our_data_after_any_changes(server: RealOpa, seed: int) -> None:
    random = Random(seed)
    base = {"base": {"a": {"b": 1, "c": {}}, "list": [1, {"x": 2}]}, "a": 1}
    rule = 'decision := {"effect": "deny"} if data.base'
    async with asking(bundle_of(rule, base), server.port) as pdp:
        for operation, arguments in changes(random, 150):
            with contextlib.suppress(ValueError):
                getattr(pdp, f"{operation}_data")(*arguments)
            if random.random() < 0.3:
                assert (await pdp.ask(payment())).reasons in ((), ("no_rule",))
                held = await server.data()
                ours = pdp.evaluate([], {}, NOW)
                shown = {name: held[name] for name in held if not name.startswith("portcullis")}
                assert shown == {name: ours[name] for name in ours if name != "portcullis"}
            if random.random() < 0.02:
                await server.kill()
                await server.start()
