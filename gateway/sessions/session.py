"""One live stream, tethered to the gateway for as long as it lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from policy import AccessRequest, Decision

Index = tuple[str, str]  # what sessions are found by: ("actor", "agent:x"), ("address", "10.0.0.5"), …


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """A stream under a decision. `end` resets the stream at once; it is called at most once, with the reason."""

    id: str  # the decision id that opened it
    request: AccessRequest
    decision: Decision
    since: float  # Unix seconds
    end: Callable[[str], None]

    def indexes(self) -> Iterator[Index]:
        """Everything whose cut ends this session."""
        principal = self.request.principal
        yield "session", self.id
        yield "principal", principal.id
        for actor in principal.chain():
            yield "actor", actor
        if self.request.address:
            yield "address", self.request.address
