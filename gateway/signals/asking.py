"""Our questions to a transmitter: JSON there and back, in our name, each bounded and nothing followed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
import msgspec

from gateway.bounded import read_bounded
from gateway.config import Transmitter
from gateway.identity.http_json import Unreachable
from gateway.json_body import read_json

_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}  # nothing that grows when unpacked
_LARGEST: Final = 1 << 18  # bytes of an answer about a stream
_SECONDS: Final = 5.0


class Answer(msgspec.Struct, frozen=True):
    """Status and body; None where the body is empty."""

    status: int
    body: Any


class Asking:
    """Asks one transmitter."""

    def __init__(self, settings: Transmitter, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session

    async def ask(
        self, method: str, url: str, body: Any = None, *, largest: int = _LARGEST, seconds: float = _SECONDS
    ) -> Answer:
        """The answer, whatever its status. Raises Unreachable where there is none, or none that can be read."""
        try:
            token = await asyncio.to_thread(_token, self._settings)  # each time: a file's token may be rotated
            headers = _HEADERS | {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            async with self._session.request(
                method,
                url,
                data=None if body is None else msgspec.json.encode(body),
                headers=headers,
                allow_redirects=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                text = await read_bounded(response.content.iter_any(), largest)
                return Answer(response.status, read_json(text) if text and response.status in (200, 201) else None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            raise Unreachable(f"{url}: {error or type(error).__name__}") from error


def _token(settings: Transmitter) -> str:
    if settings.token_file is not None:
        return settings.token_file.read_text(encoding="utf-8").strip()
    return settings.token.get_secret_value() if settings.token else ""
