"""What we sign ourselves."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.config.values import Branch, Integer


class Transactions(Branch):
    """The tokens by which services behind the edge learn who asks, and the keys that sign them."""

    issuer: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")] = "urn:portcullis:gateway"  # our name in them
    life_seconds: Annotated[Integer, Field(ge=2, le=300)] = 15  # each is used again for half of it
    remembered_mb: Annotated[Integer, Field(ge=1, le=4096)] = 128  # tokens to use again; the oldest makes room
    key_seconds: Annotated[Integer, Field(ge=7200, le=31_536_000)] = 86_400  # for which a key signs
    publish_ahead_seconds: Annotated[Integer, Field(ge=60, le=3600)] = 900  # a key is published before it signs


class TokenService(Branch):
    """Exchanges a person's token for a narrower one for her agent (RFC 8693)."""

    issuer: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]  # our name in them
    audiences: dict[str, tuple[str, ...]]  # what a token for each audience may be narrowed to
    life_seconds: Annotated[Integer, Field(ge=10, le=3600)] = 300
    max_chain: Annotated[Integer, Field(ge=1, le=16)] = 4  # actors in the chain of what we issue
