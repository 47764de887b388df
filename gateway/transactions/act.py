"""The chain of actors as a claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policy import Actor


def act_claim(actors: Sequence[Actor]) -> dict[str, Any] | None:
    """The `act` claim (RFC 8693 section 4.1) of actors, the current one first; None for none."""
    act: dict[str, Any] | None = None
    for actor in reversed(actors):
        said = {"sub": actor.id, "iss": actor.issuer, "act": act}
        act = {name: value for name, value in said.items() if value}
    return act
