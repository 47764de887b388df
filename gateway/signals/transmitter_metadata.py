"""What a transmitter says of itself (SSF 1.0 section 7): where its keys and its endpoints are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from gateway.identity.discovery import MetadataClient, require_endpoint

_WELL_KNOWN: Final = "/.well-known/ssf-configuration"


class TransmitterMetadata(msgspec.Struct, frozen=True):
    """Its endpoints; "" where it has none."""

    issuer: str
    jwks_uri: str = ""
    configuration_endpoint: str = ""
    status_endpoint: str = ""
    verification_endpoint: str = ""
    critical_subject_members: tuple[str, ...] = ()


def metadata_url(issuer: str) -> str:
    """Between the issuer's host and its path (section 7.2.1)."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{parts.path.rstrip('/')}"


def transmitter_metadata(document: dict[str, Any], issuer: str) -> TransmitterMetadata:
    """Read a configuration document. Raises ValueError if it is another issuer's (section 7.2.4), or names an endpoint
    without TLS although the issuer has it.
    """
    try:
        metadata = msgspec.convert(document, TransmitterMetadata)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if metadata.issuer != issuer:
        raise ValueError(f"metadata of another issuer: {metadata.issuer!r}")
    for url in (
        metadata.jwks_uri,
        metadata.configuration_endpoint,
        metadata.status_endpoint,
        metadata.verification_endpoint,
    ):
        if url:
            require_endpoint(url, issuer)
    return metadata


class TransmitterDiscovery(MetadataClient[TransmitterMetadata]):
    """One transmitter's metadata."""

    def __init__(
        self,
        issuer: str,
        session: aiohttp.ClientSession,
        period: float,
        put: Callable[[TransmitterMetadata], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`put` is given what is fetched."""

        def read(document: dict[str, Any]) -> TransmitterMetadata:
            metadata = transmitter_metadata(document, issuer)
            put(metadata)
            return metadata

        super().__init__((metadata_url(issuer),), read, session, period, clock)
