"""Reports what a function reads: one line where a block ends, not one for each read.

A read is pending from where it happens until the block is left, by any way; each way out reports what is pending there.
So a path that was not reached is not reported, and a block costs one report however much it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from policy.rego.compiler.expressions import local
from policy.rego.compiler.origins import Path, static
from policy.rego.plan import Local

if TYPE_CHECKING:
    from policy.rego.compiler.source import Source


@dataclass(slots=True)
class _Level:
    """One open block."""

    pending: set[Path] = field(default_factory=set)  # read, and not reported yet
    known: set[Path] = field(default_factory=set)  # reported by an inner block, whichever way it was left
    exits: list[set[Path]] = field(default_factory=list)  # what is reported on each way out to the block around


class Reads:
    """Reads of each open block, outermost first."""

    def __init__(self, source: Source):
        self._source = source
        self._levels = [_Level()]

    @contextmanager
    def block(self, *, certain: bool = True) -> Iterator[None]:
        """Reads of an inner block; whoever writes it reports them at its end. `certain`: it is entered in any case."""
        self._levels.append(_Level())
        yield
        left = self._levels.pop()
        if certain and left.exits:
            self._levels[-1].known |= set.intersection(*left.exits)

    def note(self, path: Path) -> None:
        """Take a path known now as read from here on."""
        if not self._covered(path):
            self._levels[-1].pending.add(path)

    def leaving(self, blocks: int, also: Path | None = None) -> list[str]:
        """The report on the way out of so many blocks, and of a path where that is why."""
        levels = self._levels[-blocks:]
        paths = set().union(*(level.pending for level in levels))
        lines = [] if also is None or static(also) else [reported(also)]
        if also is not None and static(also) and not self._covered(also):
            paths = {path for path in paths if path[: len(also)] != also} | {also}
        levels[0].exits.append(paths.union(*(level.known for level in levels)))
        return [*lines, f"t.append({self._source.read(paths)})"] if paths else lines

    def returning(self) -> list[str]:
        """The report on the way out of the function."""
        return self.leaving(len(self._levels))

    def _covered(self, path: Path) -> bool:
        above = {path[:length] for length in range(1, len(path) + 1)}
        return any(above & level.pending or above & level.known for level in self._levels)


def reported(path: Path) -> str:
    """The report of one path with keys that are known only when it is read."""
    parts = (local(part.number) if isinstance(part, Local) else repr(part) for part in path)
    return f"t.append(({', '.join(parts)},))"
