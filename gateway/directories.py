"""Keeps the keys that agents sign with: every configured directory, at the start and by period."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import aiohttp

from gateway.config import HttpSignatures
from gateway.identity.jwk import PublicKey
from gateway.identity.signatures import DirectoryClient
from gateway.keeping import keep_running

_PERIOD: Final = 60.0  # seconds between fetches: for so long a new key of an agent is not known yet
_RETRY: Final = 5.0  # seconds between fetches from a directory that is away
_SHARE: Final = 4  # fetches in the time for which a directory counts: one that fails does no harm


class Directories:
    """The keys of all directories, by thumbprint."""

    def __init__(
        self,
        settings: HttpSignatures | None,
        session: aiohttp.ClientSession,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        origins: Sequence[str] = settings.directories if settings else ()
        keep = settings.keep_seconds if settings else 0
        self._period = min(_PERIOD, keep / _SHARE)
        self._clients = [DirectoryClient(origin, session, keep) for origin in origins]
        self._merged: tuple[int, Mapping[str, PublicKey]] = (0, {})
        self._sleep = sleep

    def at(self, now: float) -> Mapping[str, PublicKey]:
        """The keys that count at `now` (Unix seconds), by thumbprint; looked up once a second."""
        if self._merged[0] != int(now):
            keys = {name: key for client in self._clients for name, key in client.keys(now).items()}
            self._merged = (int(now), keys)
        return self._merged[1]

    async def keep(self) -> None:
        """Fetch all now and by period, until cancelled; each is kept, and fails, alone."""
        async with asyncio.TaskGroup() as tasks:
            for client in self._clients:
                tasks.create_task(keep_running(f"directory:{client.origin}", partial(self._keep, client)))

    async def _keep(self, client: DirectoryClient) -> None:
        while True:
            await client.refresh()
            self._merged = (0, {})
            await self._sleep(min(self._period, _RETRY) if client.failing else self._period)
