"""Asks the running gateway over its Unix socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_PATIENCE = 30.0  # seconds for an answer; a block that waits for a slow disk is still an answer


class Unreachable(Exception):
    """No gateway answers on the socket."""


class NotRunning(Unreachable):
    """Nobody listens on the socket."""


class Refused(Exception):
    """The gateway answered with an error; `fault` is "caller" or "ours"."""

    def __init__(self, status: int, what: str, fault: str) -> None:
        super().__init__(what)
        self.status = status
        self.fault = fault


class Client:
    """One request a connection: plain, and an operator's command needs no more."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        decode: Callable[[bytes], Any] = json.loads,
        patience: float | None = _PATIENCE,
    ) -> Any:
        """Send `body` (bytes as they are, anything else as JSON) and return the answer, each part of which may take
        `patience` seconds (None: any time). Raises Unreachable, NotRunning, Refused.
        """
        with self._request(method, path, body, patience) as answer:
            return _read(answer, decode)

    def follow(self, path: str) -> Iterator[Any]:
        """Each line of a stream of JSON, until the gateway ends it. Raises Unreachable, Refused."""
        with self._request("GET", path, None, patience=None) as answer:
            if answer.status != http.client.OK:
                _read(answer)
            rest = b""
            while data := answer.read1():  # not by lines: http.client takes a cut between two chunks for the end
                *lines, rest = (rest + data).split(b"\n")
                yield from map(json.loads, lines)

    @contextlib.contextmanager
    def _request(
        self, method: str, path: str, body: Any, patience: float | None = _PATIENCE
    ) -> Iterator[http.client.HTTPResponse]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with contextlib.closing(_UnixConnection(self._path, patience)) as connection:
            try:
                with contextlib.suppress(BrokenPipeError):  # it may answer before it has read everything
                    connection.request(method, path, data, {"connection": "close"})
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                nobody = isinstance(error, FileNotFoundError | ConnectionRefusedError)
                raise (NotRunning if nobody else Unreachable)(
                    f"no gateway answers on {self._path} ({error}); is `portcullis up` running?"
                ) from error
            with answer, _unless_cut():
                yield answer


@contextlib.contextmanager
def _unless_cut() -> Iterator[None]:
    """A connection that ends inside an answer is a gateway that went away."""
    try:
        yield
    except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
        raise Unreachable("the gateway went away before its answer was whole; it may be starting again") from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, patience: float | None) -> None:
        super().__init__("portcullis", timeout=patience)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _read(answer: http.client.HTTPResponse, decode: Callable[[bytes], Any] = json.loads) -> Any:
    try:
        content = decode(answer.read() or b"null")
    except ValueError as error:
        raise Refused(answer.status, f"HTTP {answer.status}", "ours") from error
    if isinstance(content, dict) and "error" in content and "fault" in content:
        raise Refused(answer.status, content["error"], content["fault"])
    if answer.status == http.client.FORBIDDEN:
        raise Refused(answer.status, "this user may not ask: use the gateway's own, or root", "caller")
    return content
