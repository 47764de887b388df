"""Bodies of requests and answers, read to the end or to a bound."""

from __future__ import annotations

from collections.abc import AsyncIterable


class TooLarge(ValueError):
    """There were more bytes than anybody wants to hold."""


async def read_bounded(chunks: AsyncIterable[bytes], most: int) -> bytes:
    """All chunks as one. Raises TooLarge as soon as there are more than `most` bytes."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise TooLarge(f"more than {most} bytes")
    return bytes(body)
