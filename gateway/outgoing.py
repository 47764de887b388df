"""The gateway's own questions to issuers and key directories: whose servers it believes."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp


async def verifying(authorities: Path | None) -> aiohttp.ClientSession:
    """A session that believes servers whom the system's authorities vouch for, or these (PEM). Raises ValueError."""
    context = await asyncio.to_thread(ssl.create_default_context)
    try:
        if authorities is not None:
            await asyncio.to_thread(context.load_verify_locations, authorities)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"identity.ca: {authorities} has no certificates that can be read: {error}") from None
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
