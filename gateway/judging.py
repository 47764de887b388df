"""The judge process: a replica of the gateway's state, and the edge's questions answered by it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import structlog
from prometheus_client import Counter

from gateway.config import Config
from gateway.edge import judge_socket
from gateway.enforcement import Reusing, serve_questions
from gateway.policies import compiling
from gateway.records import Decided
from gateway.routing import Routing
from gateway.workers import (
    QUESTIONS_SOCKET,
    REPLICA_SOCKET,
    STATE_FILE,
    Begin,
    Complete,
    Following,
    Hello,
    Joined,
    LeftBehind,
    Live,
    Operation,
    Prepare,
    Prepared,
    Published,
    Pulse,
    Questions,
    Replica,
    ReplicaJudge,
    RoutesChanged,
    RoutesChanging,
    counts_of,
    said,
)
from policy import AccessRequest, Decision, Revision, compile_bundle, unpacked

_READ: Final = 1 << 18  # bytes at a time
_TICK: Final = 0.05  # seconds between reports of decisions
_PULSE: Final = 1.0  # seconds between signs of life, and reports of counts
_MOST: Final = 20_000  # decisions that wait to be told
_UNTOLD = Counter("portcullis_gateway_judge_decisions_lost_total", "Decisions that a judge had no room to keep")
_log = structlog.get_logger()


class Judging:
    """One judge. `inherited`: revisions that were compiled before this process was forked."""

    def __init__(self, run: Path, number: int, inherited: Mapping[str, Revision]) -> None:
        """Raises OSError where there is no gateway."""
        self._run = run
        self._number = number
        self._inherited = inherited
        newest = Published.look(run / STATE_FILE)
        self._sock = _connected(run / REPLICA_SOCKET)
        self._following = Following(newest, self._receive, self._apply)
        self._config: Config | None = None
        self._replica: Replica | None = None
        self._judge: ReplicaJudge | None = None
        self._live = asyncio.Event()
        self._decided: deque[Decided] = deque()

    async def run(self) -> None:
        """Answer until the gateway is gone, and then end. Raises LeftBehind, OSError, PolicyError, FrameError."""
        reader, writer = await asyncio.open_unix_connection(str(self._run / QUESTIONS_SOCKET))
        self._questions = questions = Questions(reader, writer)
        asyncio.get_running_loop().add_reader(self._sock, self._read)
        async with asyncio.TaskGroup() as self._tasks:
            self._say(said(Hello("judge", self._number)))
            self._tasks.create_task(self._report(questions))
            self._tasks.create_task(self._taken(questions))
            await self._live.wait()
            if self._judge is None:
                raise LeftBehind("there is no state to answer by")
            _log.info("judge answers", judge=self._number, pid=os.getpid())
            socket = _fresh(judge_socket(self._run, self._number))
            await serve_questions(self._judge, self._reusing(), os.getpid(), socket)

    def _reusing(self) -> Reusing:
        config = self._config
        if config is None:
            raise LeftBehind("there is no configuration")
        return Reusing(config.edge.cache_seconds, config.transactions.life_seconds)

    async def _taken(self, questions: Questions) -> None:
        try:
            await questions.run()
        except (EOFError, OSError, ValueError) as error:
            self._left_behind(LeftBehind(f"the gateway is gone: {error}"))

    def _receive(self) -> bytes | None:
        try:
            data = self._sock.recv(_READ)
        except BlockingIOError:
            return None
        if not data:
            raise EOFError("the gateway is gone")
        return data

    def _read(self) -> None:
        """Between questions: what has come is applied before it counts, if there is time."""
        try:
            self._following.read()
        except LeftBehind as error:
            self._left_behind(error)

    def _apply(self, operation: Operation) -> None:
        try:
            self._applied(operation)
        except Exception as error:  # whatever it is: the state is not the gateway's any more
            self._left_behind(LeftBehind(f"{type(operation).__name__}: {error!r}"))

    def _applied(self, operation: Operation) -> None:
        if isinstance(operation, Begin):
            self._following.pause()
            self._tasks.create_task(self._begin(operation))
        elif isinstance(operation, Prepare):
            self._tasks.create_task(self._prepare(operation))
        elif isinstance(operation, Complete):
            self._say(said(Joined()))
        elif isinstance(operation, Live):
            self._live.set()
        elif isinstance(operation, (RoutesChanging, RoutesChanged)):
            self._change(operation, Config.model_validate_json(operation.config))
        elif self._replica is not None:
            self._replica.apply(operation)

    async def _begin(self, begin: Begin) -> None:
        self._config = config = Config.model_validate_json(begin.config)
        self._replica = replica = Replica(config, begin, await self._compiled(begin.policy))
        self._judge = ReplicaJudge(config, replica, self._following, self._questions, self._witness, self._left_behind)
        self._following.resume()

    def _change(self, operation: RoutesChanging | RoutesChanged, config: Config) -> None:
        """As `gateway.reconfiguring` does in the gateway itself."""
        if self._config is None or self._replica is None or self._judge is None:
            raise LeftBehind("other routes before there are any")
        if isinstance(operation, RoutesChanging):
            self._judge.begin_change(Routing(config))
            self._replica.put_services({**self._config.services, **config.services})
        else:
            self._config = config
            self._judge.end_change(Routing(config))
            self._replica.put_services(config.services)

    async def _prepare(self, prepare: Prepare) -> None:
        revision = await self._compiled(prepare, anew=True)
        if self._replica is not None:
            self._replica.prepared(revision)
        self._say(said(Prepared(prepare.revision)))

    async def _compiled(self, prepare: Prepare, anew: bool = False) -> Revision:
        """`anew`: a revision's document is changed in place, so that what is live is not there a second time."""
        known = self._inherited.get(prepare.revision)
        if known is not None and not anew:
            return known
        if self._config is None:
            raise LeftBehind("a policy before there is a configuration")
        return await asyncio.to_thread(compiled, self._run / prepare.file, self._config)

    def _say(self, word: bytes) -> None:
        try:
            self._sock.sendall(word)
        except OSError as error:  # BlockingIOError too: a gateway that does not read is as good as gone
            self._left_behind(LeftBehind(f"the gateway does not listen: {error}"))

    def _witness(self, request: AccessRequest, decision: Decision) -> None:
        if len(self._decided) < _MOST:
            self._decided.append(Decided.of(request, decision))
        else:
            _UNTOLD.inc()

    async def _report(self, questions: Questions) -> None:
        pulse = round(_PULSE / _TICK)
        while True:
            for _ in range(pulse):
                await asyncio.sleep(_TICK)
                if self._decided:
                    decided, self._decided = self._decided, deque()
                    questions.decided(decided)
            self._say(said(Pulse()))
            questions.counted(tuple(counts_of()))
            if self._replica is not None:
                self._replica.expire()

    def _left_behind(self, error: LeftBehind) -> NoReturn:
        """At once, with every connection: nobody gets an answer by what was."""
        _log.error("judge ends", judge=self._number, error=str(error))
        os._exit(1)


def compiled(file: Path, config: Config) -> Revision:
    """The revision in a file of the gateway's. Takes seconds. Raises OSError, msgspec.DecodeError, PolicyError."""
    return compile_bundle(unpacked(file.read_bytes()), compiling(config.policy))


def _connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _fresh(socket: Path) -> Path:
    """The socket's path, with what a killed predecessor left there taken away."""
    socket.unlink(missing_ok=True)
    return socket
