"""Who the good callers are outlives the gateway: a guard that has just started must not be blind."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import msgspec
import structlog
from prometheus_client import Counter

from defense_lines import WINDOW, Activity, Sighting, Snapshot

_log = structlog.get_logger()
_FAILED = Counter("portcullis_gateway_callers_file_failed_total", "Times that the good callers' file was of no use")
_LARGEST = 256 << 20  # bytes
_CHUNK = 2_000  # sightings encoded at a time: another thread's turn comes after a millisecond
_LENGTH = 4  # bytes
_DECODER = msgspec.msgpack.Decoder(Snapshot)


class CallersFile:
    """One activity, in a file of this user's alone. It holds names: what the window has passed is not written again."""

    def __init__(self, path: Path, activity: Activity, seconds: float) -> None:
        """`seconds` lie between two writes."""
        self._path = path
        self._activity = activity
        self._seconds = seconds
        self._kept_until = 0.0  # Unix seconds: what could not be read is not written over before

    async def restore(self, now: float) -> bool:
        """What an earlier gateway knew; false where there is a file that cannot be read, which is said and counted. It
        stays as it is for an hour, so that a gateway which starts once more knows as well that it does not know.
        """
        try:
            self._activity.restore(await asyncio.to_thread(_read, self._path), now)
        except FileNotFoundError:
            return True
        except (OSError, ValueError) as error:
            _FAILED.inc()
            _log.error("good callers not known from before", file=str(self._path), error=str(error))
            self._kept_until = now + WINDOW
            return False
        return True

    async def keep(self) -> None:
        """Write from time to time, until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            await self.save()

    async def save(self) -> None:
        """Write now, unless what is there could not be read. A disk that cannot take it is said and counted."""
        if time.time() < self._kept_until:
            return
        seen = self._activity.snapshot()
        try:
            await asyncio.to_thread(_write, self._path, seen)
        except OSError as error:
            _FAILED.inc()
            _log.error("good callers not kept", file=str(self._path), error=str(error))


def _write(path: Path, seen: Snapshot) -> None:
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for start in range(0, len(seen[0]), _CHUNK):
            chunk = msgspec.msgpack.encode([column[start : start + _CHUNK] for column in seen])
            file.write(len(chunk).to_bytes(_LENGTH, "big") + chunk)
    fresh.replace(path)


def _read(path: Path) -> Snapshot:
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"larger than {_LARGEST} bytes")
    sightings, times, at = list[Sighting](), list[float](), 0
    while at < len(data):
        end = at + _LENGTH + int.from_bytes(data[at : at + _LENGTH], "big")
        if end > len(data):
            raise ValueError("it ends early")
        some, then = _DECODER.decode(data[at + _LENGTH : end])
        sightings += some
        times += then
        at = end
    if len(sightings) != len(times):
        raise ValueError("it has not as many times as sightings")
    return sightings, times
