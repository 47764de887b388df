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

    def paths(self) -> frozenset[Path]:
        """Paths that were read. What lies below one of them was read too, named or not."""
        known = {entry for entry in self.trace if type(entry) is int}
        others: list[Path] = []
        for entry in self.trace:
            if type(entry) is not int:
                others += flattened(self.sets, [entry])
        return frozenset(others).union(*(self.sets[entry] for entry in known))


def flattened(sets: Sequence[frozenset[Path]], trace: Trace) -> Iterator[Path]:
    """Every path of a trace, some more than once."""
    for entry in trace:
        if type(entry) is int:
            yield from sets[entry]
        elif type(entry) is tuple:
            yield tuple([part if type(part) is str else _part(part) for part in entry])
        else:
            yield from flattened(sets, entry)


def shortest(paths: Iterable[Path]) -> set[Path]:
    """Paths that have no other one above them."""
    found = set(paths)
    return {path for path in found if not any(path[:length] in found for length in range(1, len(path)))}


def overlap(path: Path, other: Path) -> bool:
    """Whether one of two paths lies at or above the other."""
    shared = min(len(path), len(other))
    return path[:shared] == other[:shared]


def shown(path: Path) -> str:
    """A path as Rego writes it: `data.accounts["1001"].owner`."""
    head, *rest = path
    return str(head) + "".join(f".{part}" if _plain(part) else f"[{_quoted(part)}]" for part in rest)


def _part(part: Any) -> Any:
    """A key as a part of a path: what cannot be one of JSON's, an array say, finds nothing wherever it is looked up."""
    held = unkey(part)
    return held if isinstance(held, (str, int)) or held is None else repr(held)


def _plain(part: Any) -> bool:
    return isinstance(part, str) and part.isidentifier() and part.isascii()


def _quoted(part: Any) -> str:
    import json

    return json.dumps(part) if isinstance(part, (str, int)) or part is None else str(part)
