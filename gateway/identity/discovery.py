"""What an issuer says of itself: the metadata of OpenID Connect Discovery 1.0 and of RFC 8414."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from gateway.identity.http_json import Unreachable, ask_json

_LARGEST: Final = 1 << 18  # bytes of a metadata document
_OPENID: Final = "/.well-known/openid-configuration"
_OAUTH: Final = "/.well-known/oauth-authorization-server"


M = TypeVar("M")


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
    for url in (metadata.jwks_uri, metadata.token_endpoint, metadata.introspection_endpoint):
        if url:
            require_endpoint(url, issuer)
    return metadata


def require_endpoint(url: str, issuer: str) -> None:
    """Raises ValueError if an issuer's endpoint is no https:// address, and no http:// one where the issuer is."""
    allowed = ("https", "http") if urlsplit(issuer).scheme == "http" else ("https",)
    if not (urlsplit(url).scheme in allowed and urlsplit(url).hostname):
        raise ValueError(f"{url!r} is no {allowed[0]}:// address")


class MetadataClient(Generic[M]):
    """Fetches metadata from the first of some addresses that has them, and again when they are older than `period`
    seconds. Many askers make one fetch. `read` raises ValueError for what is not to be believed.
    """

    def __init__(
        self,
        urls: Sequence[str],
        read: Callable[[dict[str, Any]], M],
        session: aiohttp.ClientSession,
        period: float,
        clock: Callable[[], float],
    ) -> None:
        self._urls = urls
        self._read = read
        self._session = session
        self._period = period
        self._clock = clock
        self._known: M | None = None
        self._fetched = 0.0
        self._turn = asyncio.Lock()

    async def metadata(self) -> M:
        """The metadata. Raises Unreachable; what was known before is not used beyond its period."""
        async with self._turn:
            if self._known is None or self._clock() - self._fetched >= self._period:
                self._known, self._fetched = await self._fetch(), self._clock()
            return self._known

    def forget(self) -> None:
        """What was known led nowhere: fetch it again."""
        self._known = None

    async def _fetch(self) -> M:
        problems: list[str] = []
        for url in self._urls:
            try:
                return self._read(await ask_json(self._session, url, _LARGEST))
            except (Unreachable, ValueError) as error:
                problems.append(str(error))
        raise Unreachable("; ".join(problems))


class Discovery(MetadataClient[Metadata]):
    """One issuer's metadata."""

    def __init__(
        self,
        issuer: str,
        session: aiohttp.ClientSession,
        period: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(metadata_urls(issuer), partial(metadata_of, issuer=issuer), session, period, clock)
