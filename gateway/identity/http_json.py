"""JSON from a server of an issuer's: one bounded request, one bounded answer, nothing followed."""

from __future__ import annotations

from typing import Any, Final

import aiohttp

from gateway.bounded import read_bounded
from gateway.identity.jws import object_of

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}  # nothing that grows when unpacked


class Unreachable(Exception):
    """The other side gave no answer, or none that can be read."""


async def ask_json(
    session: aiohttp.ClientSession,
    url: str,
    largest: int,
    form: dict[str, str] | None = None,
    authorization: str = "",
) -> dict[str, Any]:
    """GET a JSON object of at most `largest` bytes, or POST a form for it. Raises Unreachable."""
    try:
        async with session.request(
            "GET" if form is None else "POST",
            url,
            data=form,
            headers=_HEADERS | ({"Authorization": authorization} if authorization else {}),
            allow_redirects=False,
            auto_decompress=False,
            timeout=_TIMEOUT,
        ) as response:
            if response.status != 200:
                raise Unreachable(f"{url}: status {response.status}")
            return object_of(await read_bounded(response.content.iter_any(), largest))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Unreachable(f"{url}: {error or type(error).__name__}") from error
