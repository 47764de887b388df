"""Against a real OPA: the same policies and questions get the same answers. Skipped where there is no `opa`."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policy import (
    AccessRequest,
    Actor,
    Bundle,
    PolicyError,
    Principal,
    compile_bundle,
    embedded_pdp,
    opa_pdp,
    read_bundle,
)
from policy.opa_check import find_opa
from policy.question import access_input

DATA = {"accounts": {"1001": {"owner": "person:alice"}, "1002": {"owner": "person:bob"}}}
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def opa() -> Path:
    found = find_opa()
    if not found:
        pytest.skip("needs opa")
    return found


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
async def server(opa: Path) -> Any:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        str(opa), "run", "--server", "--addr", f"127.0.0.1:{port}", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr
    try:
        async with asyncio.timeout(20):
            while b"Initializing server" not in await process.stderr.readline():
                pass
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    await asyncio.sleep(0.01)
        writer.close()
        yield port
    finally:
        process.terminate()
        await process.communicate()


async def test_opa_engine_answers_as_the_embedded_one(server: int) -> None:
    bundle = Bundle(read_bundle().sources, DATA)
    remote, embedded = opa_pdp(bundle, host="127.0.0.1", port=server, timeout=10), embedded_pdp(bundle)
    try:
        for request in itertools.islice(questions(), 0, None, 5):
            here, there = embedded.decide(request), await remote.ask(request)
            assert (here.effect, sorted(here.reasons)) == (there.effect, sorted(there.reasons))
            assert here.depends == there.depends
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
