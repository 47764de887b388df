"""The port of CrowdSec's bouncers, as the gateway opens it: with TLS, with keys from files, and again when it fails."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import REGISTRY

from defense_lines import Ledger
from defense_lines.ledger import Posture
from defense_lines.status import Service
from deploy.demo.ports import free_port
from gateway.bouncers import run_bouncers
from gateway.config import Bouncer, CrowdSecLine, CrowdSecTls
from tests.defense_lines.bouncer_rig import Follower, accepts, eventually
from tests.defense_lines.line_rig import block, permit
from tests.gateway.mesh_rig import certificates

KEY = "0123456789abcdef"
SERVICES: tuple[tuple[Service, list[str]], ...] = (
    ("drained", []),
    ("quarantined", []),
    ("in_service", ["198.51.100.7"]),
)
FAILURES = "portcullis_gateway_part_failures_total"


@asynccontextmanager
async def running(folder: Path, settings: CrowdSecLine) -> AsyncIterator[Ledger]:
    async with asyncio.timeout(20), await Ledger.open(folder / "ledger") as ledger:
        await ledger.append(permit(block("address", "198.51.100.7")))
        task = asyncio.ensure_future(run_bouncers(settings, Follower(ledger), ledger, 86_400, time.time()))
        try:
            yield ledger
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


def keyed(folder: Path, key: str = KEY) -> dict[str, Bouncer]:
    path = folder / "key"
    path.write_text(f"{key}\n")
    return {"web": Bouncer(key_file=path)}


async def asked(url: str, trust: ssl.SSLContext | bool = True) -> list[str]:
    async with (
        aiohttp.ClientSession(headers={"X-Api-Key": KEY}) as session,
        session.get(f"{url}/v1/decisions?ip=198.51.100.7", ssl=trust) as answer,
    ):
        assert answer.status == 200
        return [decision["value"] for decision in await answer.json()]


async def streamed(url: str) -> list[str]:
    async with (
        aiohttp.ClientSession(headers={"X-Api-Key": KEY}) as session,
        session.get(f"{url}/v1/decisions/stream?startup=true") as answer,
    ):
        return [decision["value"] for decision in (await answer.json())["new"] or ()]


def failures() -> float:
    return REGISTRY.get_sample_value(FAILURES, {"part": "bouncers"}) or 0.0


async def test_over_tls_with_a_key_from_a_file(tmp_path: Path) -> None:
    tls, port = certificates(tmp_path), free_port()
    settings = CrowdSecLine(
        port=port, tls=CrowdSecTls(certificate=tls.certificate, key=tls.key), bouncers=keyed(tmp_path)
    )
    trust = ssl.create_default_context(cafile=tls.client_ca)
    trust.check_hostname = False
    async with running(tmp_path, settings):
        await eventually(lambda: accepts(port))
        assert await asked(f"https://127.0.0.1:{port}", trust) == ["198.51.100.7"]
        with pytest.raises(aiohttp.ClientError):
            await asked(f"http://127.0.0.1:{port}")


async def test_a_bouncer_out_of_service_is_told_nothing(tmp_path: Path) -> None:
    port = free_port()
    async with running(tmp_path, CrowdSecLine(port=port, bouncers=keyed(tmp_path))) as ledger:
        await eventually(lambda: accepts(port))
        for state, told in SERVICES:
            await ledger.append(Posture(line="web", state=state, by="analyst:jo", reason="test"))
            assert await streamed(f"http://127.0.0.1:{port}") == told


async def test_a_port_that_another_has_is_opened_once_it_is_free(tmp_path: Path) -> None:
    port, before = free_port(), failures()
    with socket.create_server(("127.0.0.1", port)) as other:
        async with running(tmp_path, CrowdSecLine(port=port, bouncers=keyed(tmp_path))) as ledger:
            await eventually(failed_since(before))
            other.close()
            await ledger.append(permit(block("address", "198.51.100.8")))
            await eventually(lambda: accepts(port))
            assert await asked(f"http://127.0.0.1:{port}") == ["198.51.100.7"]


async def test_a_key_that_is_too_short_opens_nothing(tmp_path: Path) -> None:
    port, before = free_port(), failures()
    async with running(tmp_path, CrowdSecLine(port=port, bouncers=keyed(tmp_path, "short"))):
        await eventually(failed_since(before))
        assert not await accepts(port)


def failed_since(before: float) -> Callable[[], Awaitable[bool]]:
    async def so() -> bool:
        return failures() > before

    return so
