"""Lines over WebSocket, both ends: real agents that enforce into memory, and peers that misbehave."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from picows import WSHandshakeError, WSMsgType

from defense_lines.agent.actuation import Memory
from defense_lines.agent.connecting import over_tls, over_unix, proving
from defense_lines.agent.prefix import packed
from defense_lines.agent.protocol import (
    ENCODER,
    MAX_ANSWER,
    ORDER,
    PATH,
    SUBPROTOCOL,
    Audit,
    Enforced,
    Hello,
    InStep,
    Orders,
    Receipts,
    Unable,
    Unlisted,
    Welcome,
)
from defense_lines.agent.protocol import OutOfSequence as WireOutOfSequence
from defense_lines.agent.websocket import Messages
from defense_lines.line import Digest, LineBroken, LineUnavailable, Note, OutOfSequence
from defense_lines.lines.remote import RemoteLine
from tests.authority import Authority
from tests.defense_lines.agent_rig import LEDGER, PATIENCE, Gateway, agent, batch, block, local

NOTHING = Digest()
HELLO = Hello(("address",), None, 0, 1.0)


class Peer(Messages):
    """An agent's end that says what it is told to."""

    def __init__(self) -> None:
        super().__init__(MAX_ANSWER)
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.lost = asyncio.Event()

    def opened(self) -> None:
        pass

    def received(self, message: bytes) -> None:
        self.heard.put_nowait(ORDER.decode(message))

    def closed(self) -> None:
        self.lost.set()

    def say(self, answer: object) -> None:
        self.send(ENCODER.encode(answer))


@asynccontextmanager
async def peer(gateway: Gateway, hello: Hello | None = HELLO) -> AsyncIterator[Peer]:
    end = Peer()
    await over_unix(gateway.path)(end)
    assert isinstance(await end.heard.get(), Welcome)
    if hello is not None:
        end.say(hello)
    try:
        yield end
    finally:
        end.close()
        await end.lost.wait()


@asynccontextmanager
async def one(tmp_path: Path) -> AsyncIterator[tuple[Gateway, RemoteLine, Peer]]:
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, peer(gateway) as end:
        yield gateway, await gateway.attached.get(), end


async def test_an_order_goes_out_and_comes_back_as_receipts(tmp_path: Path) -> None:
    memory = Memory()
    async with (
        Gateway(tmp_path / "lines.sock").listening() as gateway,
        agent(tmp_path, local(gateway), memory),
    ):
        line = await gateway.attached.get()
        assert (line.name, line.cursor) == ("nftables", 0)
        assert line.capabilities.targets == {"address", "range"}
        orders = [block(1), block(2, "198.51.100.0/24", "range"), block(3, ttl=-1)]
        receipts = await line.carry_out(batch(0, orders, "head-1"))
        assert (receipts.head, receipts.notes) == ("head-1", (Note(orders[2].id, "expired"),))
        assert 0 <= receipts.ms < 5000
        assert memory.ends.keys() == {packed("10.0.0.1"), packed("198.51.100.0/24")}
        assert set(await line.active(NOTHING, time.time()) or ()) == {orders[0].id, orders[1].id}
        assert await line.active(Digest.of([orders[0].id, orders[1].id]), time.time()) is None
        await line.carry_out(batch(3, [orders[0].id]))
        assert memory.ends.keys() == {packed("198.51.100.0/24")}


async def test_the_agent_comes_back_to_a_gateway_that_was_away_and_knows_what_it_was_told(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "lines.sock")
    async with agent(tmp_path, local(gateway)):
        async with gateway.listening():
            line = await gateway.attached.get()
            await line.carry_out(batch(0, [block(1)]))
        with pytest.raises(LineUnavailable):
            await line.carry_out(batch(1, [block(2)]))
        async with gateway.listening():
            line = await gateway.attached.get()
            assert line.cursor == 1
            assert await line.active(Digest.of([block(1).id]), time.time()) is None


async def test_a_batch_out_of_sequence_is_answered_with_the_cursor(tmp_path: Path) -> None:
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, agent(tmp_path, local(gateway)) as one:
        line = await gateway.attached.get()
        await line.carry_out(batch(0, [block(1), block(2)]))
        with pytest.raises(OutOfSequence) as refused:
            await line.carry_out(batch(1, [block(2)]))
        assert refused.value.cursor == 2
        await line.carry_out(batch(None, [block(9)]))  # out of turn
        await line.carry_out(batch(7, [block(8)]))  # what lies between did not concern the line
        assert one.enforcer.book.cursor == 8


async def test_a_gateway_with_another_ledger_is_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "lines.sock"
    async with Gateway(path).listening() as gateway, agent(tmp_path, local(gateway)) as one:
        await gateway.attached.get()
        other = Gateway(path, ledger="another")
        gateway.lines.close()
        async with other.listening():
            await _refused(other)
        assert one.enforcer.journal.ledger == LEDGER


async def _refused(gateway: Gateway) -> None:
    """The agent went away without having said hello."""
    await gateway.ended.wait()
    assert gateway.attached.empty()


async def test_shared_orders_are_encoded_once(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "lines.sock")
    orders = batch(0, [block(1)])
    assert gateway.lines.encoded(orders, 0) is gateway.lines.encoded(orders, 0)
    assert gateway.lines.encoded(orders, 0) != gateway.lines.encoded(orders, None)


async def test_a_lost_connection_is_line_unavailable_at_once(tmp_path: Path) -> None:
    async with one(tmp_path) as (gateway, line, end):
        asking = asyncio.ensure_future(line.carry_out(batch(0, [block(1)])))
        await end.heard.get()
        end.close()
        with pytest.raises(LineUnavailable):
            await asking
        assert await gateway.detached.get() is line
        with pytest.raises(LineUnavailable):
            await line.active(NOTHING, 0.0)


async def test_orders_and_an_audit_are_answered_each_in_its_own_time(tmp_path: Path) -> None:
    async with one(tmp_path) as (_, line, end):
        audit = asyncio.ensure_future(line.active(NOTHING, 0.0))
        orders = asyncio.ensure_future(line.carry_out(batch(0, [block(1)])))
        assert isinstance(await end.heard.get(), Audit)
        assert isinstance(await end.heard.get(), Orders)
        end.say(Receipts(1.0, 1.0, "head"))
        assert (await orders).head == "head"
        end.say(Enforced(("b-1",)))
        assert await audit == ("b-1",)


async def test_an_agent_that_cannot_is_unavailable(tmp_path: Path) -> None:
    async with one(tmp_path) as (_, line, end):
        orders = asyncio.ensure_future(line.carry_out(batch(0, [block(1)])))
        end.say(Unable("journal: full"))
        with pytest.raises(LineUnavailable, match="journal: full"):
            await orders
        audit = asyncio.ensure_future(line.active(NOTHING, 0.0))
        end.say(Unlisted("no netlink"))
        with pytest.raises(LineUnavailable, match="no netlink"):
            await audit
        orders = asyncio.ensure_future(line.carry_out(batch(0, [block(1)])))
        end.say(WireOutOfSequence(3))
        with pytest.raises(OutOfSequence):
            await orders


@pytest.mark.parametrize(
    "answer",
    [
        Receipts(1.0, 1.0, "another head"),
        Receipts(float("nan"), 1.0, "head"),
        Receipts(1.0, 1.0, "head", (Note("b-0000000000000009", "failed"),)),
        InStep(),  # nobody asked
        HELLO,
        {"receipts": 1},
        ["receipts", "now", 1.0, "head"],
        ["receipts", 1.0, 1.0, "head", [{"block": "b-1", "outcome": "adored"}]],
    ],
)
async def test_garbage_is_a_broken_line_and_ends_the_connection(tmp_path: Path, answer: object) -> None:
    async with one(tmp_path) as (gateway, line, end):
        orders = asyncio.ensure_future(line.carry_out(batch(0, [block(1)])))
        await end.heard.get()
        end.say(answer)
        with pytest.raises(LineBroken):
            await orders
        assert await gateway.detached.get() is line


@pytest.mark.parametrize(
    "spoil",
    [
        lambda end: end.transport.send(WSMsgType.TEXT, b"receipts"),
        lambda end: end.transport.send(WSMsgType.CONTINUATION, b"receipts"),
        lambda end: end.transport.underlying_transport.write(b"\x82\x05hello"),  # not masked
        lambda end: end.transport.underlying_transport.write(b"\xf3" * 64),  # no opcode
        lambda end: end.transport.underlying_transport.write(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"mask"),
    ],
)
async def test_what_is_no_message_is_a_broken_line(tmp_path: Path, spoil: Callable[[Peer], None]) -> None:
    async with one(tmp_path) as (gateway, line, end):
        orders = asyncio.ensure_future(line.carry_out(batch(0, [block(1)])))
        await end.heard.get()
        spoil(end)
        with pytest.raises(LineBroken):
            await orders
        assert await gateway.detached.get() is line


async def test_a_message_in_parts_is_one_message(tmp_path: Path) -> None:
    async with one(tmp_path) as (_, line, end):
        orders = asyncio.ensure_future(line.carry_out(batch(0, [block(1)])))
        await end.heard.get()
        message = ENCODER.encode(Receipts(1.0, 1.0, "head"))
        assert end.transport is not None
        end.transport.send(WSMsgType.BINARY, message[:3], fin=False)
        end.transport.send_ping(b"between")
        end.transport.send(WSMsgType.CONTINUATION, message[3:5], fin=False)
        end.transport.send(WSMsgType.CONTINUATION, message[5:])
        assert (await orders).head == "head"


async def test_who_is_not_waited_for_any_longer_is_cut(tmp_path: Path) -> None:
    async with one(tmp_path) as (gateway, line, end):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await line.carry_out(batch(0, [block(1)]))
        await end.lost.wait()
        assert await gateway.detached.get() is line


async def test_a_peer_that_takes_nothing_is_cut_too(tmp_path: Path) -> None:
    async with one(tmp_path) as (gateway, line, end):
        assert end.transport is not None
        end.transport.underlying_transport.pause_reading()
        many = batch(0, [block(number) for number in range(1, 40_000)])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await line.carry_out(many)
        assert await gateway.detached.get() is line
        end.transport.underlying_transport.resume_reading()


async def test_a_silent_agent_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defense_lines.lines.remote.SILENT_SECONDS", 0.1)
    async with one(tmp_path) as (gateway, line, end):
        assert end.transport is not None
        end.transport.underlying_transport.pause_reading()
        assert await gateway.detached.get() is line
        end.transport.underlying_transport.resume_reading()


async def test_a_silent_gateway_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defense_lines.agent.connecting.SILENT_SECONDS", 0.1)
    gateway = Gateway(tmp_path / "lines.sock")
    async with gateway.listening(), agent(tmp_path, local(gateway)):
        line = await gateway.attached.get()
        line._connection.transport.underlying_transport.pause_reading()  # type: ignore[union-attr]
        again = await gateway.attached.get()  # it gave up and came again, although the first connection stands
        assert again is not line


async def test_a_newer_connection_of_a_name_takes_the_place_of_the_older(tmp_path: Path) -> None:
    async with one(tmp_path) as (gateway, old, first), peer(gateway):
        new = await gateway.attached.get()
        assert await gateway.detached.get() is old
        await first.lost.wait()
        assert new is not old
        with pytest.raises(LineUnavailable):
            await old.carry_out(batch(0, [block(1)]))
        assert gateway.detached.empty()


@pytest.mark.parametrize("greeting", [None, Receipts(1.0, 1.0, "head"), {"hello": 1}, b"x" * 5000])
async def test_who_does_not_say_hello_is_not_let_in(
    tmp_path: Path, greeting: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("defense_lines.lines.remote.HELLO_SECONDS", 0.2)
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, peer(gateway, None) as end:
        if greeting is not None:
            end.say(greeting)
        await end.lost.wait()
        assert gateway.attached.empty()


@pytest.mark.parametrize(
    ("path", "protocol", "status"),
    [(PATH, "chat", 400), ("/other", SUBPROTOCOL, 403), (PATH, "", 400)],
)
async def test_who_asks_for_something_else_is_told_so(tmp_path: Path, path: str, protocol: str, status: int) -> None:
    async with Gateway(tmp_path / "lines.sock").listening() as gateway:
        reader, writer = await asyncio.open_unix_connection(str(gateway.path))
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: {protocol}\r\n\r\n".encode()
        )
        assert (await reader.readline()).split()[1] == str(status).encode()
        writer.close()
        assert gateway.attached.empty()


async def test_a_gateway_of_another_user_is_not_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defense_lines.agent.connecting.peer_uid", lambda _: os.geteuid() + 1)
    async with Gateway(tmp_path / "lines.sock").listening() as gateway:
        with pytest.raises(PermissionError):
            await over_unix(gateway.path)(Peer())
        await gateway.ended.wait()


class Tls:
    """A gateway's port at which both sides prove themselves."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder, "ca")
        self.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.trust.verify_mode = ssl.CERT_REQUIRED
        self.trust.load_verify_locations(self.authority.certificate)
        self.trust.load_cert_chain(*self.authority.issue("gateway", x509.DNSName("localhost")))

    def line(self, name: str) -> ssl.SSLContext:
        return proving(*self.authority.issue("line", x509.DNSName(name)), self.authority.certificate)

    @asynccontextmanager
    async def listening(self, gateway: Gateway) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        made = lambda: gateway.lines.connection(_named)  # noqa: E731
        server = await loop.create_server(made, "127.0.0.1", 0, ssl=self.trust)
        try:
            async with asyncio.timeout(PATIENCE):
                yield f"wss://localhost:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            gateway.lines.close()
            while gateway.lines.living:  # noqa: ASYNC110 - it can only be asked
                await asyncio.sleep(0)


def _named(transport: asyncio.BaseTransport, _: str) -> str:
    from gateway.peer import names

    return next((name for name in names(transport) if name.startswith("fw-")), "")


async def test_over_tls_the_name_is_the_certificates(tmp_path: Path) -> None:
    tls, gateway = Tls(tmp_path), Gateway(tmp_path / "none")
    async with tls.listening(gateway) as url, agent(tmp_path, over_tls(url, tls.line("fw-1"))):
        line = await gateway.attached.get()
        assert line.name == "fw-1"
        orders = [block(number) for number in range(1, 3000)]
        assert (await line.carry_out(batch(0, orders))).notes == ()
        assert await line.active(Digest.of(each.id for each in orders), time.time()) is None


async def test_over_tls_nobody_comes_in_without_a_certificate_of_a_line(tmp_path: Path) -> None:
    tls, gateway = Tls(tmp_path), Gateway(tmp_path / "none")
    (tmp_path / "other").mkdir()
    other = Tls(tmp_path / "other")
    async with tls.listening(gateway) as url:
        with pytest.raises(WSHandshakeError):
            await over_tls(url, tls.line("till-1"))(Peer())
        stranger = other.line("fw-1")
        with pytest.raises(OSError):  # noqa: PT011 - the gateway is no one that the line trusts
            await over_tls(url, stranger)(Peer())
        stranger.load_verify_locations(tls.authority.certificate)
        with pytest.raises((OSError, WSHandshakeError)):
            await over_tls(url, stranger)(Peer())
        assert gateway.attached.empty()
