"""What a real edge demands of those who connect: TLS as it should be, and that they come to the point."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from gateway.config import Tls
from tests.authority import Authority
from tests.gateway.edge_rig import Rig, rig, until

WEAK = ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "DHE-RSA-AES256-GCM-SHA384")
STRONG = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305")
_REQUEST = b"GET /accounts/1 HTTP/1.1\r\nhost: bank\r\n"


@asynccontextmanager
async def edge_of(folder: Path) -> AsyncIterator[tuple[Rig, ssl.SSLContext]]:
    authority = Authority(folder, "ca")
    certificate, key = authority.issue("edge", x509.DNSName("localhost"))
    async with rig(tls=Tls(certificate=certificate, key=key)) as edge:
        yield edge, ssl.create_default_context(cafile=str(authority.certificate))


async def _handshake(edge: Rig, context: ssl.SSLContext) -> tuple[str, str]:
    _, writer = await asyncio.open_connection("localhost", edge.config.edge.port, ssl=context)
    try:
        name, version, _ = writer.get_extra_info("cipher")
        return str(name), str(version)
    finally:
        writer.close()


async def test_only_suites_with_forward_secrecy_and_authentication_are_spoken(tmp_path: Path) -> None:
    async with edge_of(tmp_path) as (edge, context):
        assert (await _handshake(edge, context))[1] == "TLSv1.3"
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        for suite in STRONG:
            context.set_ciphers(suite)
            assert await _handshake(edge, context) == (suite, "TLSv1.2")
        for suite in WEAK:
            context.set_ciphers(f"{suite}:@SECLEVEL=0")
            with pytest.raises(ssl.SSLError):
                await _handshake(edge, context)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_older_tls_is_not_spoken(tmp_path: Path) -> None:
    async with edge_of(tmp_path) as (edge, context):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError):
            await _handshake(edge, context)


@pytest.mark.parametrize(("curve", "spoken"), [("prime256v1", True), ("secp384r1", True), ("secp521r1", False)])
async def test_the_curves_are_ours(tmp_path: Path, curve: str, spoken: bool) -> None:
    async with edge_of(tmp_path) as (edge, context):
        context.set_ecdh_curve(curve)
        if spoken:
            assert (await _handshake(edge, context))[1] == "TLSv1.3"
        else:
            with pytest.raises(ssl.SSLError):
                await _handshake(edge, context)


async def test_who_does_not_come_to_the_point_is_sent_away_soon(tmp_path: Path) -> None:
    """A handshake that is never made, and a head that never ends."""
    async with edge_of(tmp_path) as (edge, context):
        port, start = edge.config.edge.port, time.monotonic()
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
        slow, slow_writer = await asyncio.open_connection("localhost", port, ssl=context)
        slow_writer.write(_REQUEST)
        async with asyncio.timeout(20):
            assert await silent.read() == b""
            status = await slow.readline()
        assert time.monotonic() - start > 8
        assert status.split()[1] == b"408"
        silent_writer.close()
        slow_writer.close()
    assert not edge.gateway.asked


async def test_a_head_of_too_many_lines_is_refused() -> None:
    async with rig() as edge:
        for lines, status in ((80, 200), (101, 431)):
            headers = {f"x-{number}": "1" for number in range(lines)}
            async with edge.http.get(edge.url("/accounts/1"), headers=headers) as answer:
                assert answer.status == status, lines


async def test_an_edge_short_of_memory_begins_nothing_new_and_recovers() -> None:
    """What callers send and nobody takes yet is kept: a body that policy is to see, until it is whole."""
    part = b"POST /payments HTTP/1.1\r\nhost: bank\r\ncontent-length: 199000\r\n\r\n" + b"x" * 198_000
    async with rig(max_memory_mb=64) as edge, AsyncExitStack() as stack:
        assert await _status(edge) == 200

        async def refuses() -> bool:
            _, writer = await asyncio.open_connection("127.0.0.1", edge.config.edge.port)
            stack.callback(writer.close)
            writer.write(part)
            return await _overloaded(edge)

        kept = await edge.http.get(edge.url("/streams/live"))
        stack.callback(kept.close)
        assert await kept.content.readline()
        await until(refuses, "it is short of memory")
        assert await _live(edge)
        assert not kept.closed
        await stack.aclose()

        async def serves() -> bool:
            return not await _overloaded(edge) and await _status(edge) == 200

        await until(serves, "it has memory again")


async def _overloaded(edge: Rig) -> bool:
    stats = await edge.admin.stats("overload.")
    return stats["overload.envoy.overload_actions.stop_accepting_requests.active"] == 1


async def _live(edge: Rig) -> bool:
    return (await edge.admin.stats("server."))["server.live"] == 1


async def _status(edge: Rig) -> int:
    async with edge.http.get(edge.url("/accounts/1")) as answer:
        return answer.status
