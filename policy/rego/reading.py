"""What an evaluation read: its trace, and the paths that it stands for.

A path is a tuple that begins with "input" or "data"; the name of an impure builtin is a path of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from policy.rego.values import unkey

Path = tuple[Any, ...]
Trace = list[Any]  # numbers, paths, and traces of cached rules


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One evaluation's reads; turned into paths only when somebody asks."""

    sets: Sequence[frozenset[Path]]
    trace: Trace

    def paths(self) -> tuple[Path, ...]:
        """Paths that were read, without those that lie below another one, in order."""
        found = set(flattened(self.sets, self.trace))
        return tuple(sorted(shortest(found), key=lambda path: [str(part) for part in path]))


def flattened(sets: Sequence[frozenset[Path]], trace: Trace) -> Iterator[Path]:
    """Every path of a trace, some more than once."""
    for entry in trace:
        if type(entry) is int:
            yield from sets[entry]
        elif type(entry) is tuple:
            yield tuple(_part(part) for part in entry)
        else:
            yield from flattened(sets, entry)


def shortest(paths: set[Path]) -> set[Path]:
    """Paths that have no other one above them."""
    return {path for path in paths if not any(path[:length] in paths for length in range(1, len(path)))}


def overlap(path: Path, other: Path) -> bool:
    """Whether one of two paths lies at or above the other."""
    shared = min(len(path), len(other))
    return path[:shared] == other[:shared]


def shown(path: Path) -> str:
    """A path as Rego writes it: `data.accounts["1001"].owner`."""
    head, *rest = path
    return head + "".join(f".{part}" if _plain(part) else f"[{_quoted(part)}]" for part in rest)


def touched(paths: Iterable[Path], changed: Iterable[Path]) -> bool:
    """Whether any of the changed paths matters to any that was read."""
    changes = tuple(changed)
    return any(overlap(path, change) for path in paths for change in changes)


def _part(part: Any) -> Any:
    """A key as a part of a path: what cannot be one of JSON's, an array say, finds nothing wherever it is looked up."""
    held = unkey(part)
    return held if isinstance(held, (str, int)) or held is None else repr(held)


def _plain(part: Any) -> bool:
    return isinstance(part, str) and part.isidentifier() and part.isascii()


def _quoted(part: Any) -> str:
    import json

    return json.dumps(part) if isinstance(part, (str, int)) or part is None else str(part)
