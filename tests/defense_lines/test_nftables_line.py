"""The line as the gateway sees it: an agent over a real Unix socket, and peers that misbehave."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from defense_lines.agent.nftables_agent import serve
from defense_lines.lines.nftables import RemoteLine, accept_lines

from defense_lines.agent import drop, frames, unavailable
from defense_lines.line import LineUnavailable, Receipt
from policy import BlockPolicy, Cause, Target, TargetKind
from telemetry import frame, read_frame
from tests.defense_lines.nftables_rig import namespaces

PATIENCE = 50.0  # seconds
ROOT = Path(__file__).parent.parent.parent


def block(number: int, value: str = "198.51.100.7", kind: TargetKind = "address", ttl: float = 60) -> BlockPolicy:
    return BlockPolicy(
        id=f"b-{number:016x}",
        target=Target.of(kind, value),
        created=time.time(),
        expires=time.time() + ttl,
        cause=Cause(reason="test", by="analyst:jo"),
    )


class Gateway:
    """What a hub would do: keeps the lines that are attached."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attached: asyncio.Queue[RemoteLine] = asyncio.Queue()
        self.detached: asyncio.Queue[RemoteLine] = asyncio.Queue()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Gateway]:
        accept = accept_lines(self.path, self.attached.put_nowait, self.detached.put_nowait)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            task = group.create_task(accept)
            while not self.path.exists():  # noqa: ASYNC110 - the file is the event
                await asyncio.sleep(0)
            yield self
            task.cancel()


@asynccontextmanager
async def peer(gateway: Gateway) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(str(gateway.path))
            break
        except ConnectionRefusedError:  # bound, not listening yet
            await asyncio.sleep(0)
    try:
        yield reader, writer
    finally:
        writer.close()


async def hello(gateway: Gateway, writer: asyncio.StreamWriter) -> RemoteLine:
    writer.write(frame(frames.Hello("nftables", ("address", "range"))))
    return await gateway.attached.get()


async def closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:  # closed with bytes of ours unread
        return True


def in_namespace(work: Callable[[], Awaitable[None]]) -> None:
    async def story() -> None:
        await work()

    with namespaces(1) as (host,):
        host.loop(story())


@asynccontextmanager
async def agent(path: Path) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(path, "portcullis_test", stop))
        yield
        stop.set()


def test_an_order_goes_to_the_kernel_and_comes_back_as_a_receipt(tmp_path: Path) -> None:
    async def story() -> None:
        async with Gateway(tmp_path / "lines.sock").listening() as gateway, agent(gateway.path):
            line = await gateway.attached.get()
            assert (line.name, set(line.targets)) == ("nftables", {"address", "range"})
            assert stat.S_IMODE(gateway.path.stat().st_mode) == 0o600
            orders = [block(1), block(2, "198.51.100.0/24", "range"), block(3, "person:alice", "principal")]
            receipts = await line.apply([*orders, block(4, ttl=-1)], "head-1")
            assert [receipt.outcome for receipt in receipts] == ["enforced", "enforced", "refused", "expired"]
            assert {receipt.head for receipt in receipts} == {"head-1"}
            assert all(0 <= receipt.ms < 5000 and receipt.line == "nftables" for receipt in receipts)
            assert set(await line.active()) == {orders[0].id, orders[1].id}
            lifted = await line.revoke([orders[0].id, "b-unknown"], "head-2")
            assert [(receipt.outcome, receipt.head) for receipt in lifted] == [("lifted", "head-2")] * 2
            assert await line.active() == (orders[1].id,)

    in_namespace(story)


def test_many_orders_go_in_several_frames(tmp_path: Path) -> None:
    async def story() -> None:
        async with Gateway(tmp_path / "lines.sock").listening() as gateway, agent(gateway.path):
            line = await gateway.attached.get()
            orders = [block(number, f"10.0.{number >> 8}.{number & 255}") for number in range(frames.MAX_BATCH + 1)]
            receipts = await line.apply(orders, "")
            assert [receipt.block for receipt in receipts] == [order.id for order in orders]
            assert {receipt.outcome for receipt in receipts} == {"enforced"}
            assert len(await line.active()) == len(orders)

    in_namespace(story)


def test_the_agent_comes_back_to_a_gateway_that_was_away(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "lines.sock"
        async with agent(path):
            async with Gateway(path).listening() as gateway:
                line = await gateway.attached.get()
                await line.apply([block(1)], "")
            with pytest.raises(LineUnavailable):
                await line.active()
            async with Gateway(path).listening() as gateway:
                line = await gateway.attached.get()
                assert await line.active() == (block(1).id,)  # it stood all the while

    in_namespace(story)


async def test_a_lost_connection_is_line_unavailable_at_once(tmp_path: Path) -> None:
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, peer(gateway) as (reader, writer):
        line = await hello(gateway, writer)
        asking = asyncio.ensure_future(line.apply([block(1)], ""))
        await read_frame(reader, frames.ORDER)
        writer.close()
        with pytest.raises(LineUnavailable):
            await asking
        assert await gateway.detached.get() is line
        with pytest.raises(LineUnavailable):
            await line.revoke([block(1).id], "")


async def test_answers_find_their_request_in_any_order(tmp_path: Path) -> None:
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, peer(gateway) as (reader, writer):
        line = await hello(gateway, writer)
        asking = [asyncio.ensure_future(line.revoke([f"b-{number}"], "")) for number in range(3)]
        orders = [await read_frame(reader, frames.ORDER) for _ in asking]
        for order in reversed(orders):
            assert isinstance(order, frames.Revoke)
            receipts = (Receipt(block=order.blocks[0], line="nftables", outcome="lifted", time=1.0, ms=1.0),)
            writer.write(frame(frames.Receipts(order.request, receipts)))
        writer.write(frame(frames.Receipts(999, ())))  # nobody asked
        assert [(await done)[0].block for done in asking] == ["b-0", "b-1", "b-2"]


async def test_receipts_for_other_blocks_are_not_taken(tmp_path: Path) -> None:
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, peer(gateway) as (reader, writer):
        line = await hello(gateway, writer)
        asking = asyncio.ensure_future(line.apply([block(1)], ""))
        order = await read_frame(reader, frames.ORDER)
        writer.write(frame(frames.Receipts(order.request, ())))
        with pytest.raises(LineUnavailable, match="other blocks"):
            await asking


async def test_a_silent_agent_is_taken_for_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defense_lines.lines.nftables.ORDER_SECONDS", 0.05)
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, peer(gateway) as (_, writer):
        line = await hello(gateway, writer)
        with pytest.raises(LineUnavailable, match="no answer"):
            await line.apply([block(1)], "")
        assert await gateway.detached.get() is line


async def test_a_second_agent_of_one_name_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, peer(gateway) as (_, first):
        old = await hello(gateway, first)
        async with peer(gateway) as (_, second):
            new = await hello(gateway, second)
            assert await gateway.detached.get() is old
            assert new is not old


@pytest.mark.parametrize(
    "greeting",
    [
        b"",
        b"\0\0\0\4junk",
        b"\xff\xff\xff\xff",
        frame({"type": "hello", "name": "nftables", "targets": [], "version": 2}),
        frame(frames.Active(1)),
    ],
)
async def test_who_does_not_say_hello_is_not_let_in(tmp_path: Path, greeting: bytes) -> None:
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, peer(gateway) as (reader, writer):
        writer.write(greeting)
        if not greeting:
            writer.write_eof()
        assert await closed(reader)
        assert gateway.attached.empty()


async def test_a_process_of_another_user_is_not_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defense_lines.lines.nftables.peer_uid", lambda _: os.geteuid() + 1)
    async with Gateway(tmp_path / "lines.sock").listening() as gateway, peer(gateway) as (reader, writer):
        writer.write(frame(frames.Hello("nftables", ("address",))))
        assert await closed(reader)
        assert gateway.attached.empty()


async def test_every_message_survives_its_frame() -> None:
    for message in (frames.Apply(1, (block(1),), "h"), frames.Revoke(2, ("b-1",), "h"), frames.Active(3)):
        assert frames.ORDER.decode(msgspec.msgpack.encode(message)) == message


def capabilities(pid: int) -> set[str]:
    """CapEff of every thread of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {
        line.split()[1]
        for task in tasks
        for line in (task / "status").read_text().splitlines()
        if line.startswith("CapEff")
    }


AGENT = ["-m", "defense_lines.agent.nftables_agent", "--socket", "none.sock"]
NO_LIBRARY = """
import sys
from defense_lines.agent import libnftables, nftables_agent
libnftables.LIBRARY = "libnone.so"
sys.exit(nftables_agent.main())
"""


@pytest.mark.parametrize(
    ("program", "cause"),
    [
        (AGENT, "nftables line: needs CAP_NET_ADMIN"),
        (["-m", "defense_lines.agent.openc2_consumer", "--device", "fw-1"], "OpenC2 consumer: needs CAP_NET_ADMIN"),
        (["-c", NO_LIBRARY, *AGENT[2:]], "nftables line: nftables unavailable: libnone.so not found"),
    ],
)
def test_a_program_that_lacks_a_part_says_so_in_one_line(program: list[str], cause: str) -> None:
    if reason := unavailable():
        pytest.skip(f"needs libnftables ({reason})")
    child = subprocess.run(
        [sys.executable, *program],
        preexec_fn=lambda: drop(frozenset()),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=ROOT,
    )
    assert (child.returncode, child.stdout) == (1, "")
    (line,) = child.stderr.splitlines()
    assert line.startswith(cause)


def test_the_program_holds_net_admin_alone(tmp_path: Path) -> None:
    async def story() -> None:
        command = [sys.executable, "-m", "defense_lines.agent.nftables_agent"]
        async with Gateway(tmp_path / "lines.sock").listening() as gateway:
            child = await asyncio.create_subprocess_exec(*command, "--socket", str(gateway.path), "--table", "t")
            line = await gateway.attached.get()
            assert capabilities(child.pid) == {"0000000000001000"}
            assert (await line.apply([block(1)], ""))[0].outcome == "enforced"
            child.terminate()
            assert await child.wait() == 0
            listed = subprocess.run(["nft", "list", "table", "inet", "t"], capture_output=True, text=True)  # noqa: ASYNC221
            assert "198.51.100.7" in listed.stdout  # the kernel enforces without the agent

    in_namespace(story)
