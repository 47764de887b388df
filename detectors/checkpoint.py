"""All that the detectors know, on disk: written by a copy of the process, while the process goes on."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

NAME = "checkpoint"
VERSION = 2  # of how it is written; another is not read
_DIGEST = 32  # bytes of BLAKE2b before all else
_WORD = 8  # bytes that tell how long the index is; it and each column after it, in its order, begin at such a multiple

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


class _Index(msgspec.Struct, frozen=True):
    version: int
    position: Position
    told: list[tuple[int, bytes]]
    columns: dict[str, dict[str, _Column]]  # of each detector


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
        begin, size = _DIGEST + _WORD, int.from_bytes(body[_DIGEST : _DIGEST + _WORD], "little")
        try:
            index = msgspec.msgpack.decode(body[begin : begin + size], type=_Index)
        except msgspec.DecodeError as error:
            raise CheckpointRefused(f"{path}: of another version: {error}") from error
        if index.version != VERSION:
            raise CheckpointRefused(f"{path}: of version {index.version}, this is {VERSION}")
        return index.position, index.told, _states(index, body, begin + _padded(size))


def _write_and_end(
    path: Path, position: Position, told: list[tuple[int, bytes]], states: Callable[[], dict[str, State]]
) -> None:
    """In the child, which has our memory and none of our threads: write, and end at once whatever happens."""
    status = 1
    try:
        os.nice(10)
        os.closerange(3, 4096)  # a gateway must see our death, not our child's
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            digest = hashlib.blake2b(digest_size=_DIGEST)
            file.write(digest.digest())
            for part in _parts(position, told, states()):
                digest.update(part)
                file.write(part)
            file.seek(0)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        status = 0
    except Exception as error:
        _log.error("checkpoint not written", file=path.name, error=repr(error))
    finally:
        os._exit(status)


def _parts(
    position: Position, told: list[tuple[int, bytes]], states: Mapping[str, State]
) -> Iterator[bytes | memoryview]:
    """All after the digest; columns as they lie in memory, not copied."""
    columns = {
        name: {key: _Column(array.dtype.str, array.shape) for key, array in state.items()}
        for name, state in states.items()
    }
    index = msgspec.msgpack.encode(_Index(VERSION, position, told, columns))
    yield len(index).to_bytes(_WORD, "little")
    yield index.ljust(_padded(len(index)), b"\0")
    for array in (array for state in states.values() for array in state.values() if array.size):
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        yield bytes(_padded(array.nbytes) - array.nbytes)


def _states(index: _Index, body: bytes, at: int) -> dict[str, State]:
    """The columns that an index tells of, which begin at a place in the body."""
    states: dict[str, dict[str, NDArray[Any]]] = {}
    for name, columns in index.columns.items():
        states[name] = {}
        for key, column in columns.items():
            count = math.prod(column.shape)
            flat = np.frombuffer(body, column.dtype, count, at) if count else np.empty(0, column.dtype)
            states[name][key] = flat.reshape(column.shape)
            at += _padded(flat.nbytes)
    return dict(states)


def _padded(size: int) -> int:
    return -(-size // _WORD) * _WORD


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
