"""The gateway's judges: lets each join, keeps all at the same state, and brings policies live in all at once."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client import Gauge

from gateway.workers.journal import Journal
from gateway.workers.link import Link
from gateway.workers.operation import (
    Activate,
    Begin,
    Complete,
    Operation,
    Prepare,
    RoutesChanged,
    RoutesChanging,
    framed,
)
from gateway.workers.peer import peer
from gateway.workers.published import Published
from gateway.workers.publisher import Publisher
from gateway.workers.snapshot import State
from gateway.workers.words import Hello, Joined, Prepared

STATE_FILE: Final = "replica.state"  # the number of the newest operation
REPLICA_SOCKET: Final = "replica.sock"  # operations, gateway -> judges
_COMPILING: Final = 30.0  # seconds that judges have for a new policy
_LIVE = Gauge("portcullis_gateway_judges_live", "Judges that answer, beside the gateway itself")
_log = structlog.get_logger()


class Replicas:
    """`journal` is for those who change state; `prepare` and `activate` for whoever brings policies."""

    def __init__(self, run: Path, now: float) -> None:
        """`run`: the folder of sockets; `now`: Unix seconds. Raises OSError."""
        self._run = run
        self._published = Published.begin(run / STATE_FILE, now)
        self._publisher = Publisher(self._published)
        self.journal = Journal(self._publisher.publish, self._publisher.begin_anew, _soon)
        self._links: list[Link] = []
        self._parents: list[Link] = []
        self._current: Prepare | None = None
        self._next: Prepare | None = None
        self._heard = asyncio.Event()
        self._config = b""
        self._coming = b""  # while the edge changes to it
        _LIVE.set_function(lambda: sum(link.is_live for link in self._links))

    def pids(self) -> dict[int, int]:
        """The judges that answer: their numbers and processes."""
        return {link.number: link.pid for link in self._links if link.is_live}

    async def prepare(self, revision: str, content: bytes) -> None:
        """Have every judge compile a packed bundle; who does not in time is ended. Raises OSError."""
        file = f"policy-{revision}.bundle"
        live = self._current.file if self._current else ""
        await asyncio.to_thread(_store, self._run, file, content, live)
        self._next = Prepare(revision, file)
        for link in (*self._links, *self._parents):
            link.prepared.discard(revision)
        self._publisher.publish(self._next)
        frame = framed(self._publisher.number, self._next)
        for parent in self._parents:
            parent.take(frame)
        try:
            async with asyncio.timeout(_COMPILING):
                while self._unprepared(revision):
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            for link in self._unprepared(revision):
                link.drop("compiling")

    def activate(self, revision: str) -> None:
        """It is live: in the same turn of the loop in which the gateway itself begins to decide by it."""
        self._current, self._next = self._next, None
        self._publisher.publish(Activate(revision))

    def begin_change(self, config: bytes) -> None:
        """Every judge refuses what `Judge.begin_change` refuses, until `end_change`. `config` as in `Begin`."""
        self._coming = config
        self._publisher.publish(RoutesChanging(config))

    def end_change(self, config: bytes) -> None:
        """Every judge judges by the routes and services of this configuration."""
        self._config, self._coming = config, b""
        self._publisher.publish(RoutesChanged(config))

    async def serve(self, state: State, config: bytes, secret: bytes, born: float) -> None:
        """Let judges join, until cancelled: `config`, `secret` and `born` as in `Begin`. Raises OSError."""
        self._config = config
        loop = asyncio.get_running_loop()
        with _listening(self._run / REPLICA_SOCKET) as listener:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    sock, _ = await loop.sock_accept(listener)
                    sock.setblocking(False)
                    tasks.create_task(self._serve(sock, state, secret, born))

    async def _serve(self, sock: socket.socket, state: State, secret: bytes, born: float) -> None:
        with sock:
            try:
                with peer(sock) as process:
                    link = Link(sock, process.end)
                    link.pid = process.pid
                    try:
                        await self._hold(link, state, partial(self._begin, secret, born))
                    finally:
                        self._forget(link)
            except* (OSError, ValueError) as errors:
                _log.warning("judge is gone", error=str(errors.exceptions[0]))

    async def _hold(self, link: Link, state: State, begin: Callable[[], Begin]) -> None:
        """For as long as it is there."""
        async with asyncio.TaskGroup() as tasks:
            joining: asyncio.Task[None] | None = None
            async for word in link.words():
                if isinstance(word, Hello) and joining is None:
                    joining = tasks.create_task(self._joining(link, word, begin(), state))
                elif isinstance(word, Joined):
                    link.joined.set()
                elif isinstance(word, Prepared):
                    link.prepared.add(word.revision)
                    self._heard.set()
            if joining is not None:
                joining.cancel()

    def _joining(self, link: Link, hello: Hello, begin: Begin, state: State) -> Coroutine[Any, Any, None]:
        """All in one turn of the loop: the state, and that the link is told whatever changes from now on."""
        link.number, link.is_parent = hello.number, hello.kind == "parent"
        compiling: tuple[Operation, ...] = () if self._next is None else (self._next,)
        if link.is_parent:
            self._parents.append(link)
            return link.join((begin, *compiling, Complete()), 0, lambda: 0)
        changing: tuple[Operation, ...] = (RoutesChanging(self._coming),) if self._coming else ()
        made = chain((begin, *changing), state.told(), compiling, (Complete(),))
        self._links.append(link)
        self._publisher.add(link)
        return link.join(made, self._publisher.number, lambda: self._publisher.number)

    def _forget(self, link: Link) -> None:
        self._publisher.remove(link)
        for links in (self._links, self._parents):
            if link in links:
                links.remove(link)
        link.drop("gone")
        self._heard.set()

    def _unprepared(self, revision: str) -> list[Link]:
        return [link for link in (*self._links, *self._parents) if revision not in link.prepared]

    def _begin(self, secret: bytes, born: float) -> Begin:
        """As it is now: who connected earlier may have waited while it changed."""
        if self._current is None:
            raise RuntimeError("judges before there is a policy")
        return Begin(self._config, self._current, secret, born)


def _soon(work: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_soon(work)


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(128)
    return listener


def _store(run: Path, name: str, content: bytes, live: str) -> None:
    """Keep a bundle beside that of the live policy; others are nobody's any more."""
    for other in run.glob("policy-*.bundle*"):
        if other.name not in (name, live):
            other.unlink(missing_ok=True)
    path, fresh = run / name, run / f"{name}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)
