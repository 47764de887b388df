"""Where a signal is marked for who remembers answers: whom it touches, once what it changes has changed."""

from __future__ import annotations

from typing import Final, Protocol


class Marks(Protocol):
    """`gateway.edge.Epochs` is one."""

    def touch(self, kind: str, value: str) -> None:
        """Something changed about whoever is named so."""
        ...

    def everything(self) -> None:
        """Something changed that may touch anybody."""
        ...


class _Unmarked:
    """Nobody remembers answers."""

    def touch(self, kind: str, value: str) -> None:
        pass

    def everything(self) -> None:
        pass


UNMARKED: Final[Marks] = _Unmarked()
