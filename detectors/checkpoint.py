"""All that the detectors know, on disk: written by a copy of the process, while the process goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

NAME = "checkpoint"
VERSION = 1  # of what is in it; another is not read
_DIGEST = 32  # bytes of BLAKE2b before all else

_log = structlog.get_logger()
State = Mapping[str, NDArray[Any]]


class Position(msgspec.Struct, frozen=True):
    """Up to where a state goes."""

    segment: int  # of the journal, from which on it is to be read again
    stream: str = ""
    number: int = 0


class _Column(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class _Checkpoint(msgspec.Struct, frozen=True):
    version: int
    position: Position
    told: list[tuple[int, bytes]]
    detectors: dict[str, dict[str, _Column]]


class CheckpointRefused(Exception):
    """A checkpoint that cannot be used; the message names the file and why."""


class Checkpoint:
    """One file in a folder, replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for left in folder.glob(f"{NAME}.*"):
            left.unlink(missing_ok=True)
        self._child: tuple[int, Path] | None = None

    @property
    def writing(self) -> bool:
        """Whether a copy of us is at it."""
        return self._child is not None

    def begin(self, position: Position, told: list[tuple[int, bytes]], states: Callable[[], dict[str, State]]) -> None:
        """Fork; the child writes what the states are at this moment. Raises OSError if it cannot be forked."""
        path = self._folder / f"{NAME}.{position.segment}"
        child = os.fork()
        if child == 0:
            _write_and_end(path, position, told, states)
        self._child = child, path

    def ended(self) -> bool | None:
        """None while the child writes; then once whether it succeeded, and the new checkpoint is in place."""
        if self._child is None:
            return None
        child, path = self._child
        done, status = os.waitpid(child, os.WNOHANG)
        if not done:
            return None
        self._child = None
        if status:
            path.unlink(missing_ok=True)
            return False
        path.replace(self._folder / NAME)
        _sync(self._folder)
        return True

    def read(self) -> tuple[Position, list[tuple[int, bytes]], dict[str, State]] | None:
        """What was written last; None if nothing was. Raises CheckpointRefused."""
        path = self._folder / NAME
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.blake2b(body[_DIGEST:], digest_size=_DIGEST).digest() != body[:_DIGEST]:
            raise CheckpointRefused(f"{path}: altered or torn, its digest does not fit")
        try:
            told = msgspec.msgpack.decode(body[_DIGEST:], type=_Checkpoint)
        except msgspec.DecodeError as error:
            raise CheckpointRefused(f"{path}: of another version: {error}") from error
        if told.version != VERSION:
            raise CheckpointRefused(f"{path}: of version {told.version}, this is {VERSION}")
        states: dict[str, State] = {
            name: {key: _array(column) for key, column in parts.items()} for name, parts in told.detectors.items()
        }
        return told.position, told.told, states


def _write_and_end(
    path: Path, position: Position, told: list[tuple[int, bytes]], states: Callable[[], dict[str, State]]
) -> None:
    """In the child, which has our memory and none of our threads: write, and end at once whatever happens."""
    status = 1
    try:
        os.nice(10)
        os.closerange(3, 4096)  # a gateway must see our death, not our child's
        columns = {name: {key: _column(array) for key, array in state.items()} for name, state in states().items()}
        body = msgspec.msgpack.encode(_Checkpoint(VERSION, position, told, columns))
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(hashlib.blake2b(body, digest_size=_DIGEST).digest())
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        status = 0
    except Exception as error:
        _log.error("checkpoint not written", file=path.name, error=repr(error))
    finally:
        os._exit(status)


def _column(array: NDArray[Any]) -> _Column:
    return _Column(array.dtype.str, array.shape, array.tobytes())


def _array(column: _Column) -> NDArray[Any]:
    return np.frombuffer(column.data, column.dtype).reshape(column.shape)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
