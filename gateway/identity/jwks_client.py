"""Fetches an issuer's keys: once for many askers, never too often, and with an end to what is believed unconfirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

import aiohttp
import structlog
from prometheus_client import Counter

from gateway.identity.http_json import Unreachable, ask_json
from gateway.identity.jwks import KeySet

_log = structlog.get_logger()
_FETCHES = Counter("portcullis_gateway_jwks_fetches_total", "JWKS fetches", ["issuer", "result"])
_LARGEST: Final = 1 << 20  # bytes of a JWKS document
_PAUSE: Final = 0.5  # seconds between two fetches


class Signer(Protocol):
    """Whose keys are fetched, as configured."""

    @property
    def issuer(self) -> str:
        """Its name."""
        ...

    @property
    def jwks_url(self) -> str | None:
        """Where its keys are; None where its metadata says."""
        ...

    @property
    def keys_seconds(self) -> int:
        """For which keys count while it is unreachable."""
        ...


class Metadata(Protocol):
    """What an issuer says of itself."""

    @property
    def jwks_uri(self) -> str:
        """Where its keys are; "" if it does not say."""
        ...


class Discovering(Protocol):
    """Who knows an issuer's metadata."""

    async def metadata(self) -> Metadata:
        """The metadata. Raises Unreachable."""
        ...

    def forget(self) -> None:
        """What was known led nowhere: fetch it again."""
        ...


class JwksClient:
    """One issuer's keys, given to `put` whenever they change.

    They count until the issuer has not confirmed them for `keys_seconds`: a key that it removed meanwhile counts no
    longer than that. Then there are none, and `missing` says since when the issuer is unreachable. The log has a line
    when fetches begin to fail, when the keys count no more, and when the issuer is back; each failure is counted.
    """

    def __init__(
        self,
        issuer: Signer,
        session: aiohttp.ClientSession,
        discovery: Discovering,
        put: Callable[[KeySet], None],
        pause: float = _PAUSE,
    ) -> None:
        self.keys = KeySet()
        self._issuer = issuer
        self._session = session
        self._discovery = discovery
        self._put = put
        self._pause = pause
        self._failing = ""  # since when, as text
        self._end: asyncio.TimerHandle | None = None  # when the keys count no more
        self._free = 0.0  # loop time when the next fetch may begin
        self._planned: asyncio.Task[bool] | None = None  # waits for its turn
        self._begun: asyncio.Task[bool] | None = None

    @property
    def failing(self) -> bool:
        """Whether the last fetch failed."""
        return bool(self._failing)

    async def refresh(self) -> bool:
        """Fetch, or share a fetch; true if the keys changed. One that was under way before may bring an answer older
        than the question: where it brings nothing new, the next one is waited for.
        """
        if self._begun is not None and await asyncio.shield(self._begun):
            return True
        if self._begun is None and self._planned is None:
            self._planned = asyncio.create_task(self._next())
        return await asyncio.shield(self._planned or self._begun)  # type: ignore[arg-type]  # one of them is

    async def _next(self) -> bool:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._free - loop.time())
        self._begun, self._planned = self._planned, None
        try:
            return await self._fetch()
        finally:
            self._begun = None
            self._free = loop.time() + self._pause

    async def _fetch(self) -> bool:
        try:
            url = self._issuer.jwks_url or (await self._discovery.metadata()).jwks_uri
            if not url:
                raise Unreachable("metadata without jwks_uri")
            fresh = KeySet.parse(await ask_json(self._session, url, _LARGEST))
        except (Unreachable, ValueError) as error:
            return self._failed(str(error))
        self._confirmed()
        return self._change(fresh)

    def _confirmed(self) -> None:
        _FETCHES.labels(self._issuer.issuer, "ok").inc()
        if self._failing:
            _log.info("issuer reachable again", issuer=self._issuer.issuer, since=self._failing)
        self._failing = ""
        if self._end is not None:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(self._issuer.keys_seconds, self._distrust)

    def _failed(self, why: str) -> bool:
        _FETCHES.labels(self._issuer.issuer, "failed").inc()
        self._discovery.forget()
        if not self._failing:
            _log.error("keys of an issuer cannot be fetched", issuer=self._issuer.issuer, error=why)
        self._failing = self._failing or _now()
        if self._end is None:
            self._distrust()
        return False

    def _distrust(self) -> None:
        self._end = None
        since = self._failing or _now()
        if self._change(KeySet(missing=f"issuer unreachable since {since}")):
            _log.error("issuer unreachable, its tokens are refused", issuer=self._issuer.issuer, since=since)

    def _change(self, fresh: KeySet) -> bool:
        if fresh == self.keys:
            return False
        if fresh.unusable:
            _log.info("keys of an issuer that verify nothing", issuer=self._issuer.issuer, count=fresh.unusable)
        self.keys = fresh
        self._put(fresh)
        return True


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
