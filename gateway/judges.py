"""The parent of the judges: has everything loaded and the policy compiled, so that a judge that died is there again as
soon as it is forked. It answers nobody, and has one thread: a process with more cannot be forked safely.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from defense_lines.agent.parentage import die_with
from gateway.config import Config
from gateway.judging import Judging, compiled
from gateway.workers import (
    HEAD,
    REPLICA_SOCKET,
    Begin,
    Complete,
    Hello,
    Joined,
    Operation,
    Prepare,
    Prepared,
    read,
    said,
)
from policy import Revision

_AGAIN: Final = 0.05  # seconds between looks for a gateway that is away, and before a judge that was killed
_LONGEST: Final = 1.0  # seconds before a judge that ended by itself, at most
_log = structlog.get_logger()


class Judges:
    """Keeps `count` judges alive, numbered from 1."""

    def __init__(self, run: Path, count: int) -> None:
        self._run = run
        self._count = count
        self._compiled: dict[str, Revision] = {}  # the live revision, and the next one
        self._config: Config | None = None
        self._gateways = 0  # that there have been
        self._children: dict[int, tuple[int, int, int]] = {}  # by number: process, pidfd, and whose judge it is
        self._due: dict[int, float] = {}  # by number: when it may begin, on the monotonic clock
        self._failed: dict[int, int] = {}  # by number: how often in a row it ended by itself

    def keep(self) -> None:
        """For ever: ends with its process. Whoever is forked never comes back from here."""
        while True:
            gateway = self._gateway()
            self._gateways += 1
            try:
                self._follow(gateway)
            except (OSError, EOFError, ValueError) as error:
                _log.warning("the gateway is away", error=str(error))
            finally:
                gateway.close()

    def _gateway(self) -> socket.socket:
        while True:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(str(self._run / REPLICA_SOCKET))
                sock.sendall(said(Hello("parent")))
            except OSError:
                sock.close()
                time.sleep(_AGAIN)
            else:
                return sock

    def _follow(self, gateway: socket.socket) -> None:
        """While this gateway lives."""
        operations = _operations(gateway)
        for operation in operations:
            self._take(operation, gateway)
            if isinstance(operation, Complete):
                break
        while True:
            for number in range(1, self._count + 1):
                if number not in self._children and self._due.get(number, 0.0) <= time.monotonic():
                    self._fork(number, gateway)
            poll = select.poll()
            poll.register(gateway, select.POLLIN)
            for _, descriptor, _ in self._children.values():
                poll.register(descriptor, select.POLLIN)
            everybody = len(self._children) == self._count
            ready = {descriptor for descriptor, _ in poll.poll(None if everybody else _AGAIN * 1000)}
            self._bury(ready)
            if gateway.fileno() in ready:
                self._take(next(operations), gateway)

    def _take(self, operation: Operation, gateway: socket.socket) -> None:
        if isinstance(operation, Begin):
            self._config = Config.model_validate_json(operation.config)
            self._compile(operation.policy)
        elif isinstance(operation, Prepare):
            self._compile(operation)
            gateway.sendall(said(Prepared(operation.revision)))
        elif isinstance(operation, Complete):
            gateway.sendall(said(Joined()))

    def _compile(self, prepare: Prepare) -> None:
        if prepare.revision not in self._compiled and self._config is not None:
            newest = list(self._compiled.items())[-1:]
            self._compiled = dict([*newest, (prepare.revision, compiled(self._run / prepare.file, self._config))])
        gc.collect()
        gc.freeze()  # what is shared with those who are forked stays shared, and is not walked again
        gc.set_threshold(50_000, 20, 20)

    def _fork(self, number: int, gateway: socket.socket) -> None:
        parent = os.getpid()
        process = os.fork()
        if process == 0:
            gateway.close()  # or nobody would notice that the parent has left it
            _judge(self._run, number, self._compiled, parent)
        self._children[number] = (process, os.pidfd_open(process), self._gateways)

    def _bury(self, ready: set[int]) -> None:
        for number, (process, descriptor, whose) in list(self._children.items()):
            if descriptor not in ready:
                continue
            _, status = os.waitpid(process, 0)
            os.close(descriptor)
            del self._children[number]
            code = os.waitstatus_to_exitcode(status)
            blameless = code < 0 or whose != self._gateways  # killed, or ended because its gateway was gone
            self._failed[number] = 0 if blameless else self._failed.get(number, 0) + 1
            wait = min(_LONGEST, _AGAIN * 2 ** min(self._failed[number], 10))
            self._due[number] = time.monotonic() + (0.0 if blameless else wait)
            _log.warning("judge ended", judge=number, code=code)


def _operations(gateway: socket.socket) -> Iterator[Operation]:
    """One after the other; waits. Raises OSError, EOFError, BadOperation."""
    while True:
        length, _ = HEAD.unpack(_exactly(gateway, HEAD.size))
        yield read(_exactly(gateway, length))


def _exactly(gateway: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = gateway.recv(size - len(data))
        if not piece:
            raise EOFError("closed")
        data += piece
    return bytes(data)


def _judge(run: Path, number: int, inherited: dict[str, Revision], parent: int) -> None:
    """In the child: judge, and end with the process, whatever happens."""
    import uvloop

    try:
        die_with(parent)
        uvloop.run(Judging(run, number, inherited).run())
    except BaseException as error:
        _log.error("judge failed", judge=number, error=repr(error))
    finally:
        os._exit(1)
