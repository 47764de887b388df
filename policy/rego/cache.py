"""Values of rules that read data alone, kept from one decision to the next until what they read changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from policy.rego.limits import scan
from policy.rego.memory import CACHE, STEPS, TRACE, WAITING, Memory
from policy.rego.reading import Path, Trace, flattened, overlap
from policy.rego.values import UNDEFINED, dot, key

DEPTH = 2  # parts of a path by which a change is compared: `data.roles`, however many roles a rule read

WORTH_INDEXING = 16  # elements


class DataCache:
    """One program's rules over one document, and what it looks up in it for every decision: `held` are the paths of
    that. Whoever changes the document tells the paths.
    """

    def __init__(self, rules: int, sets: Sequence[frozenset[Path]], held: Sequence[Path]):
        self.entries: list[Any] = [None] * (rules + 1)  # the last is what is looked up for every decision
        self._held = tuple(held)
        self._sets = sets
        self._reads: list[frozenset[Path]] = [frozenset()] * rules

    def changed(self, paths: Sequence[Path]) -> None:
        """Forget the values that a change below `data` may have made wrong; `()` is everything."""
        if any(("data", *path) == one[: len(path) + 1] for path in paths for one in self._held):
            self.entries[-1] = None  # what lies below them is changed in place
        changes = [("data", *path)[:DEPTH] for path in paths]
        for index, entry in enumerate(self.entries[:-1]):
            if entry is not None and any(overlap(path, one) for path in self._read(index, entry) for one in changes):
                self.entries[index] = None
                self._reads[index] = frozenset()

    def _read(self, index: int, entry: tuple[Any, Trace]) -> frozenset[Path]:
        if not self._reads[index]:
            self._reads[index] = frozenset(path[:DEPTH] for path in flattened(self._sets, entry[1]))
        return self._reads[index]


def indexed(place: int, path: Path, member: str, wanted: Any, value: Any, memory: Memory) -> Iterable[tuple[Any, Any]]:
    """Keys and elements of what lies at a path below `data`, without those whose member is certainly another value."""
    cache = memory[CACHE]
    if cache is None or len(value if type(value) in (list, dict) else ()) < WORTH_INDEXING:
        return scan(value, memory)
    entry = cache[place]
    if entry is None:
        entry = cache[place] = (_index(value, member, memory), [path])
    found: list[tuple[Any, Any]] = entry[0].get(key(wanted), [])
    memory[STEPS] -= len(found)
    return found if memory[STEPS] >= 0 else scan(value, memory)


def indexed_now(slot: int, member: str, wanted: Any, value: Any, memory: Memory) -> Iterable[tuple[Any, Any]]:
    """The same for what is no data: an index is made when the elements of one value are asked for again."""
    if len(value if type(value) in (list, dict) else ()) < WORTH_INDEXING:
        return scan(value, memory)
    held = memory[slot]
    if held is WAITING or held[0] is not value:
        memory[slot] = (value, None)
        return scan(value, memory)
    if held[1] is None:
        held = memory[slot] = (value, _index(value, member, memory))
    found: list[tuple[Any, Any]] = held[1].get(key(wanted), [])
    memory[STEPS] -= len(found)
    return found if memory[STEPS] >= 0 else scan(value, memory)


def _index(value: Any, member: str, memory: Memory) -> dict[Any, list[tuple[Any, Any]]]:
    found: dict[Any, list[tuple[Any, Any]]] = {}
    for at, element in scan(value, memory):
        if (held := dot(element, member)) is not UNDEFINED:
            found.setdefault(key(held), []).append((at, element))
    return found


def cached(fresh: Callable[..., Memory]) -> Callable[..., Any]:
    """The function by which generated code asks for a rule that reads data alone. `fresh` makes a memory."""

    def ask(index: int, rule: Callable[..., Any], document: Any, data: Any, memory: Memory) -> Any:
        cache = memory[CACHE]
        if cache is None:  # inside `with`, or an evaluation of its own
            return rule(document, data, memory)
        entry = cache[index]
        if entry is None:
            trace: Trace = []
            own = fresh(document, data, memory[0], trace, *memory[2:6])
            entry = cache[index] = (rule(document, data, own), trace)
        memory[TRACE].append(entry[1])
        return entry[0]

    return ask
