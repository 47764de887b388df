"""The decision API's sockets: who is let in, how much and how slowly anybody may send, and what holds under attack."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from opa_client.errors import PolicyNotFoundError
from prometheus_client import REGISTRY

from deploy.demo.ports import free_port
from gateway.config import DecisionsTcp, LocalSocket, MutualTls
from policy import Bundle, OpaServer, OpaTls, Pdp, embedded_pdp
from policy.engines.opa_client import OpaClient
from tests.authority import Authority
from tests.gateway.decision_rig import Desk, desk
from tests.gateway.edge_rig import until

ONE = "/access/v1/evaluation"
PERMITTED = {
    "subject": {"type": "user", "id": "alice"},
    "action": {"name": "read"},
    "resource": {"type": "record", "id": "1"},
}
TOKEN = "correct-horse-battery-staple"
PEP = x509.UniformResourceIdentifier("spiffe://bank.example/pep")


@pytest.fixture(scope="module")
def pdp() -> Pdp:
    rule = 'decision := {"effect": "allow"} if input.action == "read"'
    return embedded_pdp(Bundle({"a.rego": f"package portcullis.access\n\n{rule}"}, {}))


def cut(why: str) -> float:
    return REGISTRY.get_sample_value("portcullis_gateway_decision_api_cut_total", {"why": why}) or 0.0


async def test_the_file_is_this_uids_alone(pdp: Pdp, tmp_path: Path) -> None:
    async with desk(pdp, tmp_path) as served:
        assert stat.S_IMODE(served.socket.stat().st_mode) == 0o600
        assert (await served.evaluate(PERMITTED))["decision"] is True


async def test_a_group_may_be_let_in(pdp: Pdp, tmp_path: Path) -> None:
    group = grp.getgrgid(os.getegid()).gr_name
    path = tmp_path / "shared.sock"
    async with desk(pdp, tmp_path, unix=LocalSocket(path=path, group=group)) as served:
        assert (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (os.getegid(), 0o660)
        assert (await served.evaluate(PERMITTED))["decision"] is True


async def test_what_a_killed_predecessor_left_is_no_hindrance_and_a_file_is(pdp: Pdp, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "decisions.sock"))
    async with desk(pdp, tmp_path) as served:
        assert (await served.evaluate(PERMITTED))["decision"] is True
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "decisions.sock").write_text("mine")
    with pytest.raises(ExceptionGroup) as caught:
        async with desk(pdp, tmp_path / "file"):
            pass
    assert isinstance(caught.value.exceptions[0], OSError)
    assert (tmp_path / "file" / "decisions.sock").read_text() == "mine"


@pytest.mark.parametrize("shown", [None, TOKEN, f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ", "Bearer \xe9"])
async def test_without_the_token_nobody_is_answered(pdp: Pdp, tmp_path: Path, shown: str | None) -> None:
    headers = {} if shown is None else {"authorization": shown}
    async with desk(pdp, tmp_path, token=TOKEN) as served:
        answer = await served.ask("POST", ONE, json=PERMITTED, headers=headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="portcullis"')
        answer = await served.ask("GET", "/v1/data/portcullis", headers=headers)
        assert (answer.status, (await answer.json())["code"]) == (401, "unauthorized")
        assert (await served.ask("GET", "/health", headers=headers)).status == 200
        good = {"authorization": f"Bearer {TOKEN}"}
        assert (await served.ask("POST", ONE, json=PERMITTED, headers=good)).status == 200
    assert len(served.seen) == 1


async def test_the_token_may_come_from_a_file(pdp: Pdp, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    async with desk(pdp, tmp_path, token_file=tmp_path / "token") as served:
        assert (await served.ask("POST", ONE, json=PERMITTED)).status == 401
        good = {"authorization": f"Bearer {TOKEN}"}
        assert (await served.ask("POST", ONE, json=PERMITTED, headers=good)).status == 200
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ValueError, match="no token"):
        async with desk(pdp, tmp_path, token_file=tmp_path / "token"):
            pass


class Port:
    """The decision API on a port, over TLS."""

    def __init__(self, folder: Path, *clients: str) -> None:
        self.authority = Authority(folder, "authority")
        certificate, key = self.authority.issue("pdp", x509.IPAddress(IPv4Address("127.0.0.1")))
        tls = MutualTls(certificate=certificate, key=key, client_ca=self.authority.certificate, clients=clients)
        self.settings = DecisionsTcp(port=free_port(), tls=tls)
        self.url = f"https://127.0.0.1:{self.settings.port}"

    def trusting(self, client: tuple[Path, Path] | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if client:
            context.load_cert_chain(*client)
        return context

    async def ask(self, trust: ssl.SSLContext, path: str = ONE) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session:
            if path != ONE:
                async with session.get(self.url + path, ssl=trust) as answer:
                    return answer.status, await answer.text()
            async with session.post(self.url + ONE, json=PERMITTED, ssl=trust) as answer:
                return answer.status, await answer.text()


@contextlib.asynccontextmanager
async def on_a_port(pdp: Pdp, folder: Path, *clients: str, **settings: Any) -> AsyncIterator[tuple[Desk, Port]]:
    port = Port(folder, *clients)
    async with desk(pdp, folder, tcp=port.settings, **settings) as served:
        yield served, port


async def test_a_port_asks_for_a_certificate(pdp: Pdp, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with on_a_port(pdp, tmp_path) as (served, port):
        before, known = cut("no_handshake"), port.trusting(port.authority.issue("pep", PEP))
        assert await port.ask(known, "/health") == (200, "{}\n")
        assert (await port.ask(known))[0] == 200
        told = await port.ask(known, "/.well-known/authzen-configuration")
        assert f'"policy_decision_point":"{port.url}"' in told[1]
        for trust in (port.trusting(None), port.trusting(Authority(tmp_path / "other", "other").issue("pep", PEP))):
            with pytest.raises(aiohttp.ClientError):
                await port.ask(trust)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(port.url.replace("https", "http") + ONE, json=PERMITTED)
        assert (await port.ask(known))[0] == 200
        assert cut("no_handshake") >= before + 3
    assert len(served.seen) == 2


async def test_only_the_clients_that_are_named_may_ask(pdp: Pdp, tmp_path: Path) -> None:
    async with on_a_port(pdp, tmp_path, PEP.value, "pep.bank.example") as (served, port):
        names: list[x509.GeneralName] = [PEP, x509.DNSName("pep.bank.example")]
        for name in names:
            assert (await port.ask(port.trusting(port.authority.issue("pep", name))))[0] == 200
        names = [x509.DNSName("other.bank.example"), x509.RFC822Name("pep.bank.example")]
        for name in names:
            told = await port.ask(port.trusting(port.authority.issue("other", name)))
            assert told == (403, "this client may not ask here")
    assert len(served.seen) == 2


HEAD = b"POST /access/v1/evaluation HTTP/1.1\r\nhost: d\r\ncontent-type: application/json\r\n"


async def said(served: Desk, *parts: bytes) -> bytes:
    """What comes back, until the other end closes."""
    reader, writer = await asyncio.open_unix_connection(str(served.socket))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "slowly",
    [
        (),  # never says anything
        (b"POST /access",),
        (HEAD,),
        (HEAD + b"content-length: 100\r\n\r\n{",),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{",),
    ],
)
async def test_who_is_slow_is_cut(pdp: Pdp, tmp_path: Path, slowly: tuple[bytes, ...]) -> None:
    async with desk(pdp, tmp_path, request_seconds=0.2) as served:
        before = cut("too_slow")
        assert await said(served, *slowly) == b""
        assert cut("too_slow") > before
        assert (await served.evaluate(PERMITTED))["decision"] is True


async def test_who_reads_slowly_is_cut(pdp: Pdp, tmp_path: Path) -> None:
    """Answers that nobody takes fill no memory: one at a time, and then none."""
    async with desk(pdp, tmp_path, request_seconds=0.3, paths=("",)) as served:
        served.pdp.put_data(("big",), ["x" * 1024] * 2048)
        before = cut("too_slow")
        _, writer = await asyncio.open_unix_connection(str(served.socket), limit=1)
        writer.write(b"GET /v1/data/big HTTP/1.1\r\nhost: d\r\n\r\n" * 3)
        await until(lambda: cut("too_slow") > before, "the slow reader is cut")
        writer.close()
        assert (await served.evaluate(PERMITTED))["decision"] is True


async def test_who_sends_too_much_is_refused_or_cut(pdp: Pdp, tmp_path: Path) -> None:
    async with desk(pdp, tmp_path, max_body_kb=4) as served:
        for data in (b"[" + b"1," * 4096 + b"1]", b"x" * 5_000):
            answer = await served.ask("POST", ONE, data=data, headers={"content-type": "application/json"})
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            answer = await served.ask("POST", "/v1/data/portcullis", data=data)
            assert (answer.status, (await answer.json())["code"]) == (400, "invalid_parameter")
        before = cut("too_much")
        assert await said(served, HEAD + b"x: " + b"y" * 80_000) == b""
        assert cut("too_much") == before + 1
        assert (await served.evaluate(PERMITTED))["decision"] is True


async def test_so_many_at_once_and_the_next_waits(pdp: Pdp, tmp_path: Path) -> None:
    async with desk(pdp, tmp_path, max_connections=2, request_seconds=0.5) as served:
        idle = [await asyncio.open_unix_connection(str(served.socket)) for _ in range(5)]
        answers = await asyncio.gather(*(served.evaluate(PERMITTED) for _ in range(5)))
        assert [answer["decision"] for answer in answers] == [True] * 5
        for _, writer in idle:
            writer.close()


async def test_handshakes_that_never_come_hold_nobody_up_for_good(pdp: Pdp, tmp_path: Path) -> None:
    async with on_a_port(pdp, tmp_path, max_connections=2) as (_, port):
        silent = [await asyncio.open_connection("127.0.0.1", port.settings.port) for _ in range(2)]
        for _, writer in silent:
            writer.write(b"no handshake at all\r\n\r\n")
        assert (await port.ask(port.trusting(port.authority.issue("pep", PEP))))[0] == 200
        for _, writer in silent:
            writer.close()


async def test_questions_in_a_row_on_one_connection(pdp: Pdp, tmp_path: Path) -> None:
    """Pipelined, and beyond the bound of a single one together."""
    body = b'{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"r","id":"1"}}'
    one = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    async with desk(pdp, tmp_path, max_body_kb=1, request_seconds=1) as served:
        told = await said(served, *[one] * 500)
    assert told.count(b'"decision":true') == 500


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/data/%ff%00/\xff HTTP/1.1\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\n\r\n",
        b"CONNECT bank:443 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"\0" * 70_000,
    ],
)
async def test_hostile_bytes_do_nothing(pdp: Pdp, tmp_path: Path, hostile: bytes) -> None:
    async with desk(pdp, tmp_path, request_seconds=0.2) as served:
        assert b" 200 OK" not in await said(served, hostile)
        assert (await served.evaluate(PERMITTED))["decision"] is True
    assert len(served.seen) == 1


async def test_opas_own_client_is_answered(pdp: Pdp, tmp_path: Path) -> None:
    """opa-python-client, over TLS with a certificate and a token."""
    async with on_a_port(pdp, tmp_path, token=TOKEN) as (_, port):
        tls = OpaTls(port.authority.certificate, *port.authority.issue("pep", PEP))
        async with OpaClient(OpaServer(port=port.settings.port, token=TOKEN, tls=tls), timeout=10) as client:
            assert await client.check_health()
            answer = await client.query_rule({"action": "read"}, "portcullis.access", "decision")
            assert answer["result"] == {"effect": "allow"}
            assert "result" not in await client.query_rule({"action": "write"}, "portcullis.access", "decision")
            with pytest.raises(PolicyNotFoundError):
                await client.get_data("accounts")
