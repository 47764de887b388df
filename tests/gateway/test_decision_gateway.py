"""The decision API of a running gateway, in a process of its own: asked, seen in metrics and records, gone with it."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from cryptography import x509

from deploy.demo.ports import free_port
from tests.authority import Authority
from tests.gateway.edge_rig import until

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0  # seconds to start, or to answer
TOKEN = "correct-horse-battery-staple"
RULES = """package portcullis.access

decision := {"effect": "allow", "reasons": ["within"]} if data.limits[input.principal.id] - input.body.amount >= 0
"""
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Running:
    """A gateway without an edge."""

    run: Path
    port: int
    trust: ssl.SSLContext

    async def ask(self, socket: str, method: str, path: str, **how: Any) -> tuple[int, str]:
        connector = aiohttp.UnixConnector(str(self.run / socket))
        async with (
            aiohttp.ClientSession("http://gateway", connector=connector) as session,
            session.request(method, path, **how) as answer,
        ):
            return answer.status, await answer.text()

    async def ask_port(self, trust: ssl.SSLContext, method: str, path: str, **how: Any) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(f"https://127.0.0.1:{self.port}") as session,
            session.request(method, path, ssl=trust, **how) as answer,
        ):
            return answer.status, await answer.text()

    async def metric(self, line: str) -> float:
        """Value of a sample by its name and labels, as they are exposed."""
        _, text = await self.ask("admin.sock", "GET", "/metrics")
        found = [one.rpartition(" ")[2] for one in text.splitlines() if one.startswith(line)]
        return float(found[0]) if found else 0.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    authority, port = Authority(folder, "authority"), free_port()
    certificate, key = authority.issue("pdp", x509.IPAddress(IPv4Address("127.0.0.1")))
    (folder / "rules.rego").write_text(RULES)
    (folder / "data.json").write_text(json.dumps({"limits": {"person:alice": 100, "person:bob": {"no": "number"}}}))
    tls = {"certificate": str(certificate), "key": str(key), "client_ca": str(authority.certificate)}
    config = {
        "state": str(folder / "state"),
        "services": {"accounts": {"address": "127.0.0.1", "port": 9}},
        "routes": [{"prefix": "/", "service": "accounts"}],
        "policy": {"paths": [str(folder / "rules.rego")], "data": str(folder / "data.json")},
        "decisions": {"unix": {}, "tcp": {"port": port, "tls": {**tls, "clients": ["pep"]}}, "request_seconds": 1},
    }
    (folder / "portcullis.yaml").write_text(json.dumps(config))
    run = folder / "state" / "run"
    run.mkdir(mode=0o700, parents=True)
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    trust.load_cert_chain(*authority.issue("pep", x509.DNSName("pep")))
    command = [sys.executable, "-m", "console.cli", "run", "gateway", "-c", str(folder / "portcullis.yaml")]
    environment = {"PORTCULLIS__DECISIONS__TOKEN": TOKEN, "PATH": "/usr/bin:/bin"}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=log, env=environment)
    made = Running(run, port, trust)
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                assert process.returncode is None, (folder / "log").read_text()[-2000:]
                with suppress(OSError, aiohttp.ClientError):
                    await made.ask("decisions.sock", "GET", "/health")
                    await made.ask("admin.sock", "GET", "/healthz")
                    await made.ask_port(trust, "GET", "/health")
                    break
                await asyncio.sleep(0.05)  # it can only be asked
        yield made
        assert process.returncode is None, (folder / "log").read_text()[-2000:]
        assert TOKEN not in (folder / "log").read_text()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def payment(subject: str, amount: Any = 10) -> dict[str, Any]:
    properties = {"amount": amount}
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": "POST"},
        "resource": {"type": "accounts", "id": "/payments", "properties": properties},
    }


HEADERS = {"authorization": f"Bearer {TOKEN}", "x-request-id": "r-1"}


async def decided(gateway: Running, subject: str, amount: Any = 10) -> Any:
    asked = payment(subject, amount)
    status, text = await gateway.ask("decisions.sock", "POST", "/access/v1/evaluation", json=asked, headers=HEADERS)
    assert status == 200, text
    return json.loads(text)


async def test_both_sockets_answer_from_the_live_revision(gateway: Running) -> None:
    assert (await decided(gateway, "alice"))["decision"] is True
    assert (await decided(gateway, "alice", 101))["decision"] is False
    for method, path, how in (
        ("POST", "/access/v1/evaluation", {"json": payment("alice")}),
        ("POST", "/v1/data/portcullis/access/decision", {"data": b'{"input": {"body": {"amount": 1}}}'}),
    ):
        status, text = await gateway.ask_port(gateway.trust, method, path, headers=HEADERS, **how)
        assert status == 200, text
        assert (await gateway.ask_port(gateway.trust, method, path, **how))[0] == 401
    assert json.loads(text).keys() == {"decision_id"}


async def test_data_of_a_type_that_policy_does_not_expect_is_refused_and_counted(gateway: Running) -> None:
    """Undefined, refused, and visible: for data and for what is asked."""
    no_rule = 'portcullis_policy_errors_total{fault="no_rule",question="access"}'
    before = await gateway.metric(no_rule)
    answers = [
        await decided(gateway, "bob"),
        await decided(gateway, "carol"),
        await decided(gateway, "alice", {"much": 1}),
    ]
    assert [answer["decision"] for answer in answers] == [False] * 3
    assert [answer["context"]["reasons"] for answer in answers] == [["no_rule"]] * 3
    assert await gateway.metric(no_rule) == before + 3


async def test_decisions_are_on_record_and_answers_are_counted(gateway: Running) -> None:
    counted = 'portcullis_gateway_decision_api_answers_total{api="authzen",status="200"}'
    before = await gateway.metric(counted)
    answer = await decided(gateway, "alice")
    assert await gateway.metric(counted) == before + 1
    _, text = await gateway.ask("admin.sock", "GET", "/v1/decisions?limit=1")
    (record,) = json.loads(text)
    assert (record["id"], record["subject"], record["path"]) == (answer["context"]["id"], "person:alice", "/payments")


async def test_who_is_blocked_is_refused_here_too(gateway: Running) -> None:
    order = {"kind": "principal", "value": "person:mallory", "ttl": 60, "reason": "test", "by": "test"}
    status, text = await gateway.ask("admin.sock", "POST", "/v1/blocks", json=order)
    assert status == 200, text

    async def refused() -> bool:
        return bool((await decided(gateway, "mallory"))["context"]["reasons"] == ["blocked"])

    await until(refused, "the blocked one is refused")


async def test_slow_clients_hold_nobody_up(gateway: Running) -> None:
    idle = [await asyncio.open_unix_connection(str(gateway.run / "decisions.sock")) for _ in range(200)]
    told: list[Any] = []

    async def answered() -> bool:
        with suppress(aiohttp.ClientOSError):  # a busy machine made this caller one of the slow
            told.append(await decided(gateway, "alice"))
        return bool(told)

    try:
        await until(answered, "others are answered")
        assert told[0]["decision"] is True
        assert await gateway.metric('portcullis_gateway_decision_api_cut_total{why="too_slow"}') > 0
    finally:
        for _, writer in idle:
            writer.close()
