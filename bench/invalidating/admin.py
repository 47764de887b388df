"""The gateway's admin socket, on a connection that stays open, so that connecting is not in what is measured."""

from __future__ import annotations

import http.client
import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.result import CannotRun

_DEADLINE = 30.0  # seconds for an answer


@dataclass(frozen=True)
class Order:
    """What is asked of the gateway, and how its answer must begin."""

    method: str
    path: str
    body: dict[str, Any]
    outcome: str


class Admin:
    """One connection; orders go one after the other."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._outcome = ""

    def send(self, order: Order) -> int:
        """Order it; CLOCK_MONOTONIC nanoseconds just before it was written."""
        body = json.dumps(order.body | {"reason": "measured"}).encode()
        self._outcome = order.outcome
        start = time.monotonic_ns()
        self._connection.request(order.method, order.path, body, {"content-type": "application/json"})
        return start

    def acknowledged(self) -> bool:
        """Whether there is an answer to read."""
        return bool(select.select([self._connection.sock], [], [], 0)[0])

    def answer(self) -> tuple[int, dict[str, Any]]:
        """CLOCK_MONOTONIC nanoseconds at which it came, and what it says. Raises CannotRun when it is a refusal."""
        select.select([self._connection.sock], [], [], _DEADLINE)
        came = time.monotonic_ns()
        answer = self._connection.getresponse()
        text = answer.read()
        said = json.loads(text) if answer.status == http.client.OK else {}
        if said.get("outcome") != self._outcome:
            raise CannotRun(f"the gateway answered an order with {answer.status}: {text[:200].decode()}")
        return came, said

    def carry_out(self, order: Order) -> dict[str, Any]:
        """Order it and wait. Raises CannotRun when it is refused."""
        self.send(order)
        return self.answer()[1]


@contextmanager
def admin(path: Path) -> Iterator[Admin]:
    """Connected as long as the block. Raises OSError."""
    connection = http.client.HTTPConnection("portcullis")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.settimeout(_DEADLINE)
        made.connect(str(path))
        connection.sock = made
        yield Admin(connection)
