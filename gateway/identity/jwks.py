"""An issuer's keys (RFC 7517): parsed, pinned to their algorithms, fetched once for many askers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import jwt
import msgspec
import structlog
from prometheus_client import Counter

from gateway.config import Issuer

_log = structlog.get_logger()
_FETCHES = Counter("portcullis_gateway_jwks_fetches_total", "JWKS fetches", ["issuer", "result"])
_LARGEST = 1 << 20  # bytes of a JWKS document
_FAMILIES = {"ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "EdDSA": ("OKP", None)}


class KeySet:
    """Public keys by id, immutable. A key serves one family of algorithms, whatever a token says."""

    def __init__(self, keys: Mapping[str, tuple[str, str | None, jwt.PyJWK]], source: bytes = b"") -> None:
        self._keys = dict(keys)
        self._source = source

    @classmethod
    def parse(cls, document: Any) -> KeySet:
        """Read a JWKS. Unusable keys are skipped; raises ValueError if it is no JWKS at all."""
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ValueError("not a JWKS: no list of keys")
        keys = {entry["kid"]: parsed for entry in entries if (parsed := _parse(entry)) is not None}
        return cls(keys, msgspec.json.encode(entries, order="sorted"))

    def key(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """The key for a token's `kid`, if it is one for that algorithm."""
        family, curve, key = self._keys.get(kid, ("", None, None))
        wanted = _FAMILIES.get(algorithm, ("RSA", None))
        return key if (family, curve if wanted[1] else None) == wanted else None

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeySet) and self._source == other._source

    __hash__ = None  # type: ignore[assignment]  # compared, never a key


def _parse(entry: Any) -> tuple[str, str | None, jwt.PyJWK] | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
        return None
    if entry.get("kty") not in ("EC", "RSA", "OKP") or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    try:
        return entry["kty"], entry.get("crv"), jwt.PyJWK.from_dict(entry, _algorithm(entry))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None


def _algorithm(entry: dict[str, Any]) -> str | None:
    return entry.get("alg") or ("RS256" if entry["kty"] == "RSA" else None)


class JwksClient:
    """Fetches one issuer's keys: a storm of unknown key ids makes one fetch, one in `pause` seconds at most."""

    def __init__(
        self,
        issuer: Issuer,
        session: aiohttp.ClientSession,
        pause: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keys = KeySet({})
        self._issuer = issuer
        self._session = session
        self._pause = pause
        self._clock = clock
        self._fetched = float("-inf")
        self._under_way: asyncio.Future[bool] | None = None

    async def refresh(self) -> bool:
        """Fetch, or share the fetch under way, unless one just ended; true if the keys changed. A failure keeps the
        old keys and is counted.
        """
        if self._under_way is None:
            if self._clock() - self._fetched < self._pause:
                return False
            self._under_way = asyncio.ensure_future(self._fetch())
            self._under_way.add_done_callback(self._ended)
        return await asyncio.shield(self._under_way)

    def _ended(self, fetch: asyncio.Future[bool]) -> None:
        self._fetched = self._clock()
        self._under_way = None

    async def _fetch(self) -> bool:
        try:
            async with self._session.get(self._issuer.jwks_url, timeout=aiohttp.ClientTimeout(5)) as response:
                response.raise_for_status()
                fresh = KeySet.parse(msgspec.json.decode(await _body(response)))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            _FETCHES.labels(self._issuer.issuer, "failed").inc()
            _log.error("jwks unreachable, keeping known keys", issuer=self._issuer.issuer, error=str(error))
            return False
        _FETCHES.labels(self._issuer.issuer, "ok").inc()
        changed = fresh != self.keys
        self.keys = fresh
        return changed


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LARGEST:
            raise ValueError(f"a JWKS of more than {_LARGEST} bytes")
    return bytes(body)
