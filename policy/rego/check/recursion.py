"""Rules that need themselves, however indirectly."""

from __future__ import annotations

from collections.abc import Iterator

from policy.rego.check.index import Entry, Index, is_data
from policy.rego.check.walk import inside_rule
from policy.rego.syntax.tree import Module, Ref

Edge = tuple[Entry, Module, int]  # what is needed, and where


def recursion(index: Index) -> Iterator[tuple[Module, int, str]]:
    """Each reference that closes a circle."""
    finished: set[Entry] = set()
    for entry in index.entries:
        yield from _circles(index, entry, finished)


def _circles(index: Index, start: Entry, finished: set[Entry]) -> Iterator[tuple[Module, int, str]]:
    """Depth first, without recursion of our own: what is on the way, each with what it needs that is still to see."""
    way = {} if start in finished else {start: _needs(index, start)}
    while way:
        entry = next(reversed(way))
        edge = next(way[entry], None)
        if edge is None:
            finished.add(entry)
            del way[entry]
            continue
        needed, module, at = edge
        if needed in way:
            names = [one.title for one in way]
            circle = [*names[list(way).index(needed) :], needed.title]
            yield module, at, f"recursion: {' -> '.join(circle)}: no rule may need itself"
        elif needed not in finished:
            way[needed] = _needs(index, needed)


def _needs(index: Index, entry: Entry) -> Iterator[Edge]:
    seen: set[Entry] = set()
    for module, rule in entry.rules:
        for branch in rule.branches():
            for term in inside_rule(branch):
                if isinstance(term, Ref) and is_data(term):
                    for found in index.reached(term):
                        if found not in seen:
                            seen.add(found)
                            yield found, module, term.start
