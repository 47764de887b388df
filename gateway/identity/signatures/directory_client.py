"""Fetches one agent's key directory. Which ones is configured: a Signature-Agent field is matched against those names
and never fetched, since who may name an address for us to fetch makes us knock on any door, and vouches for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import aiohttp
import structlog
from prometheus_client import Counter

from gateway.bounded import read_bounded
from gateway.identity.jwk import PublicKey
from gateway.identity.signatures.directory import MEDIA_TYPE, WELL_KNOWN, Directory

_log = structlog.get_logger()
_FETCHES = Counter("portcullis_gateway_key_directory_fetches_total", "Key directory fetches", ["origin", "result"])
_LARGEST = 1 << 18  # bytes of a directory


class DirectoryClient:
    """One origin's keys: a storm of unknown keys makes one fetch, one in `pause` seconds at most. A directory that is
    away is believed for `keep` seconds after it was last read, then it has no keys.
    """

    def __init__(
        self,
        origin: str,
        session: aiohttp.ClientSession,
        keep: float,
        pause: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.origin = origin
        self._session = session
        self._keep = keep
        self._pause = pause
        self._clock = clock
        self._directory = Directory()
        self._read = self._asked = float("-inf")  # by the clock: when it last answered, and when we last asked
        self._under_way: asyncio.Future[bool] | None = None

    def keys(self, now: float) -> Mapping[str, PublicKey]:
        """The keys valid at `now` (Unix seconds), by thumbprint."""
        return self._directory.at(now) if self._clock() - self._read < self._keep else {}

    async def refresh(self) -> bool:
        """Fetch, or share the fetch under way, unless one just ended; true if the keys changed. A failure keeps the
        known keys and is counted.
        """
        if self._under_way is None:
            if self._clock() - self._asked < self._pause:
                return False
            self._under_way = asyncio.ensure_future(self._fetch())
            self._under_way.add_done_callback(self._ended)
        return await asyncio.shield(self._under_way)

    def _ended(self, fetch: asyncio.Future[bool]) -> None:
        self._asked = self._clock()
        self._under_way = None

    async def _fetch(self) -> bool:
        try:
            fresh = Directory.parse(await self._document())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _FETCHES.labels(self.origin, "failed").inc()
            _log.error("key directory unreachable, keeping known keys", origin=self.origin, error=str(error))
            return False
        _FETCHES.labels(self.origin, "ok").inc()
        changed = fresh != self._directory
        self._directory, self._read = fresh, self._clock()
        return changed

    async def _document(self) -> bytes:
        """The body of a 200 of the directory's own media type; no redirect leads elsewhere. Raises ValueError."""
        url, timeout = self.origin + WELL_KNOWN, aiohttp.ClientTimeout(5)
        headers = {"Accept": MEDIA_TYPE}
        async with self._session.get(url, timeout=timeout, headers=headers, allow_redirects=False) as response:
            if response.status != 200 or response.content_type != MEDIA_TYPE:
                raise ValueError(f"status {response.status} with {response.content_type}")
            return await read_bounded(response.content.iter_any(), _LARGEST)
