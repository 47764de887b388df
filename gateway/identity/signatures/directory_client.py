"""Fetches one agent's key directory. Which ones is configured: a Signature-Agent field is matched against those names
and never fetched, since who may name an address for us to fetch makes us knock on any door, and vouches for itself.
"""

from __future__ import annotations

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
    """One origin's keys, fetched when its keeper says so and never for a request: a key that nobody knows costs no
    fetch. A directory that is away is believed for `keep` seconds after it was last read, then it has no keys.
    """

    def __init__(
        self,
        origin: str,
        session: aiohttp.ClientSession,
        keep: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.origin = origin
        self._session = session
        self._keep = keep
        self._clock = clock
        self._directory = Directory()
        self._read = float("-inf")  # by the clock: when it last answered
        self.failing = False  # whether the last fetch failed

    def keys(self, now: float) -> Mapping[str, PublicKey]:
        """The keys valid at `now` (Unix seconds), by thumbprint."""
        return self._directory.at(now) if self._clock() - self._read < self._keep else {}

    async def refresh(self) -> bool:
        """Fetch; true if the keys changed. A failure keeps the known keys and is counted; the first of several in a row
        is logged, and their end.
        """
        try:
            fresh = Directory.parse(await self._document())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._failed(str(error) or type(error).__name__)
            return False
        _FETCHES.labels(self.origin, "ok").inc()
        if self.failing:
            _log.info("key directory read again", origin=self.origin)
        changed = fresh != self._directory
        self._directory, self._read, self.failing = fresh, self._clock(), False
        return changed

    def _failed(self, why: str) -> None:
        _FETCHES.labels(self.origin, "failed").inc()
        if not self.failing:
            _log.error("key directory cannot be read, known keys count on", origin=self.origin, error=why)
        self.failing = True

    async def _document(self) -> bytes:
        """The body of a 200 of the directory's own media type; no redirect leads elsewhere. Raises ValueError."""
        url, timeout = self.origin + WELL_KNOWN, aiohttp.ClientTimeout(5)
        headers = {"Accept": MEDIA_TYPE}
        async with self._session.get(url, timeout=timeout, headers=headers, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"{url}: status {response.status}, not 200")
            if response.content_type != MEDIA_TYPE:
                raise ValueError(f"{url}: Content-Type {response.content_type}, not {MEDIA_TYPE}")
            return await read_bounded(response.content.iter_any(), _LARGEST)
