"""The host firewall, seen from the gateway: an agent connects to `lines.sock` and is a line while it is connected."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import structlog
from prometheus_client import Counter

from defense_lines.agent.frames import (
    ANSWER,
    HELLO,
    MAX_ANSWER,
    MAX_BATCH,
    VERSION,
    Active,
    Answer,
    Apply,
    Enforced,
    Hello,
    OrderFrame,
    Receipts,
    Revoke,
    peer_uid,
)
from defense_lines.line import LineUnavailable, Receipt
from policy import BlockPolicy, TargetKind
from telemetry import FrameError, frame, read_frame

NAME = "nftables"  # the only line whose agent connects: nobody takes another line's place by its name
HELLO_SECONDS = 5.0  # a peer that has not said who it is by then is closed
ORDER_SECONDS = 5.0  # an agent that has not answered by then is taken for lost
ACTIVE_SECONDS = 30.0  # listing 100,000 blocks takes the kernel's library 5 s
MAX_WAITING = 1_000  # orders without an answer; beyond it the line is unavailable
MAX_HELLO = 64 * 1024  # bytes

A = TypeVar("A", Receipts, Enforced)
T = TypeVar("T")

_log = structlog.get_logger()
_refused = Counter("portcullis_defense_lines_connections_refused_total", "Connections to lines.sock refused", ["why"])
_malformed = Counter("portcullis_defense_lines_malformed_answers_total", "Frames that closed an agent's connection")


class RemoteLine:
    """A defense line whose agent is connected. Once the connection is lost every call raises LineUnavailable."""

    def __init__(self, hello: Hello, writer: asyncio.StreamWriter) -> None:
        self.name = hello.name
        self.targets: frozenset[TargetKind] = frozenset(hello.targets)
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._lost = ""

    async def apply(self, blocks: Sequence[BlockPolicy], head: str) -> Sequence[Receipt]:
        """See DefenseLine. More than MAX_BATCH blocks go in several orders."""
        receipts: list[Receipt] = []
        for batch in _batches(blocks):
            order = Apply(next(self._numbers), tuple(batch), head)
            receipts += _matching(await self._ask(order, Receipts, ORDER_SECONDS), [block.id for block in batch])
        return receipts

    async def revoke(self, block_ids: Sequence[str], head: str) -> Sequence[Receipt]:
        """See DefenseLine."""
        receipts: list[Receipt] = []
        for batch in _batches(block_ids):
            order = Revoke(next(self._numbers), tuple(batch), head)
            receipts += _matching(await self._ask(order, Receipts, ORDER_SECONDS), batch)
        return receipts

    async def active(self) -> Sequence[str]:
        """See DefenseLine."""
        return (await self._ask(Active(next(self._numbers)), Enforced, ACTIVE_SECONDS)).blocks

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Give each answer to whoever waits for it, until the connection ends; then nobody waits any more."""
        try:
            while True:
                answer = await read_frame(reader, ANSWER, MAX_ANSWER)
                waiting = self._waiting.pop(answer.request, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except FrameError as error:
            _malformed.inc()
            self.close(f"malformed frame: {error}")
        except (EOFError, OSError) as error:
            self.close(str(error) or "connection closed")
        finally:
            self.close("connection closed")

    def close(self, why: str) -> None:
        """End the connection; whoever waits for an answer gets LineUnavailable."""
        self._lost = self._lost or why
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LineUnavailable(f"{self.name}: {self._lost}"))
        self._waiting.clear()

    async def _ask(self, order: OrderFrame, kind: type[A], seconds: float) -> A:
        if self._lost:
            raise LineUnavailable(f"{self.name}: {self._lost}")
        if len(self._waiting) >= MAX_WAITING:
            raise LineUnavailable(f"{self.name}: {MAX_WAITING} orders without an answer")
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[order.request] = waiting
        try:
            self._writer.write(frame(order))
            async with asyncio.timeout(seconds):
                await self._writer.drain()
                answer = await waiting
        except TimeoutError:
            self.close(f"no answer within {seconds:g} s")
            raise LineUnavailable(f"{self.name}: no answer within {seconds:g} s") from None
        except OSError as error:
            self.close(str(error))
            raise LineUnavailable(f"{self.name}: {error}") from error
        finally:
            self._waiting.pop(order.request, None)
        if isinstance(answer, kind):
            return answer
        raise LineUnavailable(f"{self.name}: {getattr(answer, 'reason', 'answered something else')}")


async def accept_lines(
    socket_path: Path, on_attach: Callable[[RemoteLine], None], on_detach: Callable[[RemoteLine], None]
) -> None:
    """Listen on a Unix socket (mode 0600) until cancelled; each agent that connects and says who it is, is attached.

    Only processes of our own user, or of root, are let in. A second agent of one name takes the place of the first.
    Raises OSError if the socket cannot be had.
    """
    attached: dict[str, RemoteLine] = {}

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await _introduced(reader, writer)
        if line is None:
            return
        if line.name in attached:
            attached[line.name].close("another agent of this name connected")
            on_detach(attached.pop(line.name))
        attached[line.name] = line
        on_attach(line)
        try:
            await line.listen(reader)
        finally:
            if attached.get(line.name) is line:
                del attached[line.name]
                on_detach(line)

    async with asyncio.TaskGroup() as group:

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            group.create_task(attend(reader, writer))

        server = await asyncio.start_unix_server(connected, sock=_bound(socket_path))
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()


async def _introduced(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> RemoteLine | None:
    """The line at the other end once it has said who it is; a connection that is not let in is closed and counted."""
    why = ""
    try:
        if peer_uid(writer) not in (os.geteuid(), 0):
            why = "user"
        else:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = await read_frame(reader, HELLO, MAX_HELLO)
            if hello.version == VERSION and hello.name == NAME:
                return RemoteLine(hello, writer)
            why = "version" if hello.version != VERSION else "name"
    except (FrameError, EOFError, OSError, TimeoutError):
        why = "hello"
    finally:
        if why:
            writer.close()
    _refused.labels(why).inc()
    _log.warning("connection to the lines' socket refused", why=why)
    return None


def _bound(path: Path) -> socket.socket:
    """A Unix socket at the path, closed to other users before anyone can connect."""
    path.unlink(missing_ok=True)  # left by the gateway before
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        end.bind(str(path))
        path.chmod(0o600)
    except OSError:
        end.close()
        raise
    return end


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), MAX_BATCH):
        yield items[start : start + MAX_BATCH]


def _matching(answer: Receipts, ids: Sequence[str]) -> Sequence[Receipt]:
    if [receipt.block for receipt in answer.receipts] != list(ids):
        raise LineUnavailable("answered for other blocks than were asked")
    return answer.receipts
