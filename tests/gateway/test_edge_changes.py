"""Changes of a real edge while requests are under way: none of them is lost."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
from aiohttp import web
from cryptography import x509

from gateway.config import Config, Route, Service, Tls
from tests.authority import Authority
from tests.gateway.edge_rig import Rig, rig, until
from tests.gateway.upstream_rig import Upstream, serving, upstream


async def _text(edge: Rig, path: str) -> tuple[int, str]:
    async with edge.http.get(edge.url(path)) as answer:
        return answer.status, await answer.text()


async def _held(edge: Rig, service: Upstream) -> asyncio.Task[tuple[int, str]]:
    """A request that waits at the service."""
    task = asyncio.create_task(_text(edge, "/accounts/held"))
    await until(lambda: bool(service.seen), "the request arrives")
    return task


def _at(port: int) -> Service:
    return Service(address="127.0.0.1", port=port)


async def _touched(edge: Rig) -> int:
    stats = await edge.admin.stats("listener_manager.")
    return stats["listener_manager.listener_modified"] + stats["listener_manager.listener_in_place_updated"]


async def test_a_service_that_moves_answers_what_it_began() -> None:
    async def streams(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"first\n")
        await old.held.wait()
        await stream.write(b"last\n")
        return stream

    async with upstream(streams) as old, upstream() as new, rig(shape=serving(_at(old.port))) as edge:
        begun = await _held(edge, old)
        async with edge.http.get(edge.url("/streams/live")) as live:
            assert await live.content.readline() == b"first\n"
            await edge.apply(serving(_at(new.port))(edge.config))
            assert await _text(edge, "/accounts/1") == (200, "ok")
            assert new.seen == [("GET", "/accounts/1")]
            old.held.set()
            assert await live.content.readline() == b"last\n"
        assert await begun == (200, "first\nlast\n")
        assert await _touched(edge) == 0


async def test_a_service_that_is_taken_away_answers_what_it_began() -> None:
    async with upstream() as service, rig(shape=serving(_at(service.port))) as edge:
        begun = await _held(edge, service)
        rest = edge.config.model_copy(update={"routes": (Route(prefix="/other", service="ledger"),)})
        await edge.apply(rest.model_copy(update={"services": {"ledger": edge.config.services["ledger"]}}))
        assert (await _text(edge, "/accounts/1"))[0] == 403  # no route: nobody judged it
        service.held.set()
        assert await begun == (200, "ok")
        assert await _touched(edge) == 0


async def test_a_listener_that_changes_lets_requests_finish() -> None:
    async with upstream() as service, rig(shape=serving(_at(service.port)), max_headers_kb=8) as edge:
        begun, long = await _held(edge, service), {f"x-long-{number}": "x" * 5_000 for number in range(3)}
        async with edge.http.get(edge.url("/accounts/1"), headers=long) as answer:
            assert answer.status == 431
        larger = edge.config.edge.model_copy(update={"max_headers_kb": 60})
        await edge.apply(edge.config.model_copy(update={"edge": larger}))

        async def longer() -> bool:
            try:
                async with edge.http.get(edge.url("/accounts/1"), headers=long) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until(longer, "the new bound is live")
        service.held.set()
        assert await begun == (200, "ok")


async def test_another_certificate_of_the_edge_closes_no_connection(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    old, new = (authority.issue(name, x509.DNSName("localhost")) for name in ("old", "new"))
    trust = ssl.create_default_context(cafile=str(authority.certificate))

    def with_certificate(config: Config, files: tuple[Path, Path]) -> Config:
        tls = Tls(certificate=files[0], key=files[1])
        return config.model_copy(update={"edge": config.edge.model_copy(update={"tls": tls})})

    async with rig(tls=Tls(certificate=old[0], key=old[1])) as edge:
        port = edge.config.edge.port
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
        assert _name(writer) == "old"
        assert await _asked(reader, writer) == b"200"
        await edge.apply(with_certificate(edge.config, new))

        async def newer() -> bool:
            _, other = await asyncio.open_connection("localhost", port, ssl=trust)
            name = _name(other)
            other.close()
            return name == "new"

        await until(newer, "the new certificate is shown")
        assert await _asked(reader, writer) == b"200"
        writer.close()
        assert await _touched(edge) == 0


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The status of an answer, read to its end."""
    writer.write(b"GET /accounts/1 HTTP/1.1\r\nhost: bank\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    await reader.readexactly(len(b"ok"))
    return head.split()[1]


def _name(writer: asyncio.StreamWriter) -> str:
    shown = writer.get_extra_info("peercert")["subject"]
    return str(dict(pair for part in shown for pair in part)["commonName"])
