"""Hostile callers at the real edge before the real gateway: refused or closed, at no fault of ours, and forgotten."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bench.machine import command, descendants
from bench.system import AUDIENCE, Issuer, portcullis, until_ok
from deploy.demo.ports import free_port
from gateway.config import Config, Edge, Guard, Identity, Policy, Route, Service
from gateway.config import Issuer as IssuerConfig

ALICE = "person:alice"
PATIENCE = 10.0  # seconds for an answer; none in that time counts as one that is ours to answer for
REQUESTS = 5_000
WARM_UP = 1_000
GROWTH = 20 * 1024 * 1024  # bytes
AT_ONCE = 16  # connections
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"


@dataclass(frozen=True)
class System:
    """The whole of it, and what its upstream was asked."""

    port: int
    gateway: int  # pid
    token: str
    reached: list[str]

    async def serves(self) -> bool:
        """Whether it still lets the good pass and nobody else."""
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as session:
            good = await session.get("/accounts/1001", headers={"authorization": f"Bearer {self.token}"})
            bad = await session.get("/accounts/1001")
        return (good.status, bad.status) == (200, 401)


@asynccontextmanager
async def bank(reached: list[str]) -> AsyncIterator[int]:
    """An upstream that answers whatever reaches it; its port."""

    async def answer(request: web.Request) -> web.Response:
        reached.append(request.raw_path)
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def system(folder: Path) -> AsyncIterator[System]:
    issuer, reached = Issuer(), list[str]()
    async with issuer.serve() as url, bank(reached) as behind:
        config = Config(
            state=folder / "state",
            edge=Edge(port=free_port()),
            services={"bank": Service(address="127.0.0.1", port=behind)},
            routes=(
                Route(prefix="/accounts", service="bank"),
                Route(prefix="/payments", service="bank", body_bytes=8192),
                Route(prefix="/streams/", service="bank", stream=True),
            ),
            identity=Identity(issuers=(IssuerConfig(issuer=url, jwks_url=f"{url}/jwks", audience=AUDIENCE),)),
            policy=Policy(data=_data(folder)),
            guard=Guard(never_block_principals=(ALICE,)),
        )
        token = issuer.token(ALICE, scope="accounts:read payments:write")
        async with portcullis(config, folder) as running, aiohttp.ClientSession() as session:
            await until_ok(session, f"http://127.0.0.1:{running.port}/accounts/1001", token)
            _, gateway = (
                pid for pid in descendants(running.pid) if " run gateway " in command(pid)
            )  # who forks it first
            yield System(running.port, gateway, token, reached)


def _data(folder: Path) -> Path:
    folder.chmod(0o755)  # started as root, `portcullis up` may run its children as another user
    path = folder / "data.json"
    path.write_text(json.dumps({"accounts": {"1001": {"owner": ALICE}}}))
    return path


def request(target: str, *headers: bytes, method: str = "GET", body: bytes = b"") -> bytes:
    length = [b"content-length: %d" % len(body)] if body else []
    return b"\r\n".join([f"{method} {target} HTTP/1.1".encode(), b"host: bank", *headers, *length, b"", body])


def hostile(token: str) -> dict[str, bytes]:
    """Requests none of which may pass, by what is wrong with them."""
    good = b"authorization: Bearer " + token.encode()
    junk = {
        "long": b"a" * 65_536,
        "longest let in": b"a" * 50_000,
        "many parts": b"a." * 20_000,
        "zeros": b"a\0b.c\0d.e",
        "not ascii": b"\xff\xfe.\xc3\xa9.\xff",
        "deep json": b".".join([b"W1tb" * 8000] * 3),
        "no json": b"e30.e30.e30",
        "two": token.encode() + b", Bearer " + token.encode(),
        "longer": token.encode() + b"A" * 20_000,
        "longer by nothing": token.encode() + b"!" * 400,
        "shorter": token.encode()[:-20],
        "of nobody": b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJwZXJzb246YWxpY2UifQ.",
    }
    bodies = {
        "deep": b'{"amount":' + b"[" * 4000,
        "deep and whole": b'{"amount":5,"to":' + b"[" * 4000 + b"]" * 4000 + b"}",
        "deep enough": b'{"amount":5,"to":' + b"[" * 500 + b"]" * 500 + b"}",
        "huge number": b'{"amount":' + b"9" * 5000 + b"}",
        "huge exponent": b'{"amount":1e999}',
        "not utf-8": b'{"amount":"\xff"}',
        "too long": b" " * 9000,
        "zeros": b"\0" * 100,
    }
    heads = {
        "one header of 1 MB": request("/accounts/1001", good, b"x: " + b"a" * 1_000_000),
        "a target of 1 MB": request("/accounts/" + "a" * 1_000_000, good),
        "many headers": request("/accounts/1001", good, *[b"x%d: a" % number for number in range(5000)]),
        "no http": os.urandom(200) + b"\r\n\r\n",
        "two lengths": request("/accounts/1001", b"content-length: 1", b"content-length: 2"),
        "smuggled": request("/payments", b"content-length: 4", b"transfer-encoding: chunked", method="POST"),
        "bad frames": PREFACE + b"\xff" * 100,
        "endless frames": PREFACE + b"\0\0\x08\x06\0\0\0\0\0aaaaaaaa" * 2000,
        "dots": request("/accounts/..%2f..%2fadmin", good),
        "no route": request("/admin", good),
        "upgrade": request("/accounts/1001", b"connection: upgrade", b"upgrade: h2c"),
        "connect": request("a:1", good, method="CONNECT"),
        "our own headers": request(
            "/accounts/1001", b"x-portcullis-effect: allow", b"x-portcullis-subject: person:alice"
        ),
    }
    found = {f"head, {what}": data for what, data in heads.items()}
    for what, text in junk.items():
        found[f"token, {what}"] = request("/accounts/1001", b"authorization: Bearer " + text)
        found[f"token of a stream, {what}"] = request("/streams/accounts/1001", b"authorization: Bearer " + text)
    for what, text in bodies.items():
        found[f"body, {what}"] = request("/payments", good, method="POST", body=text)
    return found


async def ask(port: int, data: bytes) -> int:
    """Status of the answer; 0 if the connection was closed instead, 599 if there was neither."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    came = b""
    try:
        async with asyncio.timeout(PATIENCE):
            with suppress(OSError):
                writer.write(data)
                while not STATUS.match(came) and (more := await reader.read(65_536)):
                    came += more
    except TimeoutError:
        return 599
    finally:
        writer.transport.abort()
    found = STATUS.match(came)
    return int(found[1]) if found else 0


async def thrown(port: int, requests: dict[str, bytes], count: int) -> Counter[tuple[str, int]]:
    """Send so many, a few at once; how often each was answered with what."""
    answers: Counter[tuple[str, int]] = Counter()
    coming = iter([*requests.items()] * (count // len(requests) + 1))

    async def one_after_another() -> None:
        for what, data in coming:
            answers[what, await ask(port, data)] += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(one_after_another())
    return answers


def memory(pid: int) -> int:
    """Bytes that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.system
async def test_whatever_comes_is_refused_and_nothing_of_it_stays(tmp_path: Path) -> None:
    """Every answer is 4xx, or the connection is closed; the bank sees none of it; the gateway grows by little."""
    async with system(tmp_path) as whole:
        requests = hostile(whole.token)
        reached = len(whole.reached)
        answers = await thrown(whole.port, requests, WARM_UP)
        assert await whole.serves()
        before = memory(whole.gateway)
        answers += await thrown(whole.port, requests, REQUESTS)
        grown = memory(whole.gateway) - before
        assert await whole.serves()
        wrong = {f"{what}: {status}": n for (what, status), n in answers.items() if status and not 400 <= status < 500}
        assert not wrong
        assert answers.total() >= REQUESTS
        assert grown < GROWTH
        assert whole.reached[reached:] == ["/accounts/1001"] * 2
