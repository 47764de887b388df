"""What an issuer says of itself: the metadata of OpenID Connect Discovery 1.0 and of RFC 8414."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from gateway.identity.http_json import Unreachable, ask_json

_LARGEST: Final = 1 << 18  # bytes of a metadata document
_OPENID: Final = "/.well-known/openid-configuration"
_OAUTH: Final = "/.well-known/oauth-authorization-server"


class Metadata(msgspec.Struct, frozen=True):
    """An issuer's endpoints; "" where it has none."""

    issuer: str
    jwks_uri: str = ""
    token_endpoint: str = ""
    introspection_endpoint: str = ""


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be, likeliest first: OpenID Connect Discovery section 4, RFC 8414 section 3."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return issuer.rstrip("/") + _OPENID, f"{parts.scheme}://{parts.netloc}{_OAUTH}{path}"


def metadata_of(document: dict[str, Any], issuer: str) -> Metadata:
    """Read a metadata document. Raises ValueError if it is another issuer's (RFC 8414 section 3.3), or names an
    endpoint without TLS although the issuer has it.
    """
    try:
        metadata = msgspec.convert(document, Metadata)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if metadata.issuer != issuer:
        raise ValueError(f"metadata of another issuer: {metadata.issuer!r}")
    allowed = ("https", "http") if urlsplit(issuer).scheme == "http" else ("https",)
    for url in (metadata.jwks_uri, metadata.token_endpoint, metadata.introspection_endpoint):
        if url and not (urlsplit(url).scheme in allowed and urlsplit(url).hostname):
            raise ValueError(f"{url!r} is no {allowed[0]}:// address")
    return metadata


class Discovery:
    """Fetches one issuer's metadata, and again when it is older than `period` seconds. Many askers make one fetch."""

    def __init__(
        self,
        issuer: str,
        session: aiohttp.ClientSession,
        period: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._session = session
        self._period = period
        self._clock = clock
        self._known: Metadata | None = None
        self._fetched = 0.0
        self._turn = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """The metadata. Raises Unreachable; what was known before is not used beyond its period."""
        async with self._turn:
            if self._known is None or self._clock() - self._fetched >= self._period:
                self._known, self._fetched = await self._fetch(), self._clock()
            return self._known

    def forget(self) -> None:
        """What was known led nowhere: fetch it again."""
        self._known = None

    async def _fetch(self) -> Metadata:
        problems: list[str] = []
        for url in metadata_urls(self._issuer):
            try:
                return metadata_of(await ask_json(self._session, url, _LARGEST), self._issuer)
            except (Unreachable, ValueError) as error:
                problems.append(str(error))
        raise Unreachable("; ".join(problems))
