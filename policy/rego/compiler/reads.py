"""Reports what a function reads: one line where a block ends, not one for each read.

A read is pending from where it happens until the block is left, by any way; each way out reports what is pending there.
So a path that was not reached is not reported, and a block costs one report however much it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from policy.rego.compiler.expressions import local
from policy.rego.compiler.origins import Path, static
from policy.rego.plan import Local

if TYPE_CHECKING:
    from policy.rego.compiler.source import Source


class Reads:
    """Pending reads of each open block, outermost first."""

    def __init__(self, source: Source):
        self._source = source
        self._pending: list[set[Path]] = [set()]

    @contextmanager
    def block(self) -> Iterator[None]:
        """Reads of an inner block; whoever writes it reports them at its end."""
        self._pending.append(set())
        yield
        self._pending.pop()

    def note(self, path: Path) -> None:
        """Take a path known now as read from here on."""
        if not self._covered(path):
            self._pending[-1].add(path)

    def leaving(self, blocks: int, also: Path | None = None) -> list[str]:
        """The report on the way out of so many blocks, and of a path where that is why."""
        paths = set().union(*self._pending[-blocks:])
        lines = [] if also is None or static(also) else [reported(also)]
        if also is not None and static(also) and not self._covered(also):
            paths = {path for path in paths if path[: len(also)] != also} | {also}
        return [*lines, f"t.append({self._source.read(paths)})"] if paths else lines

    def _covered(self, path: Path) -> bool:
        return any(path[:length] in held for held in self._pending for length in range(1, len(path) + 1))

    def returning(self) -> list[str]:
        """The report on the way out of the function."""
        return self.leaving(len(self._pending))


def reported(path: Path) -> str:
    """The report of one path with keys that are known only when it is read."""
    parts = (local(part.number) if isinstance(part, Local) else repr(part) for part in path)
    return f"t.append(({', '.join(parts)},))"
