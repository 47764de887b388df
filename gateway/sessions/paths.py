"""Sessions by the paths of data that their decisions read, so that a change costs what it touches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.sessions.session import Session
from policy import ReadPath


class _Node:
    __slots__ = ("below", "here")

    def __init__(self) -> None:
        self.below: dict[str | int | None, _Node] = {}
        self.here: dict[str, Session] = {}


class Paths:
    """A tree of paths, each with the sessions that read there. What was read at a path was read at all below it."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, session: Session, paths: Iterable[ReadPath]) -> None:
        """Find the session under these paths."""
        for path in paths:
            node = self._root
            for part in path:
                node = node.below.setdefault(part, _Node())
            node.here[session.id] = session

    def discard(self, session: Session, paths: Iterable[ReadPath]) -> None:
        """Find it there no more."""
        for path in paths:
            self._discard(session, path)

    def touched(self, path: ReadPath) -> Iterator[Session]:
        """Sessions that read at, above or below a path; some more than once."""
        node = self._root
        for part in path:
            yield from node.here.values()
            below = node.below.get(part)
            if below is None:
                return
            node = below
        yield from _all(node)

    def _discard(self, session: Session, path: ReadPath) -> None:
        way = [self._root]
        for part in path:
            node = way[-1].below.get(part)
            if node is None:
                return
            way.append(node)
        way[-1].here.pop(session.id, None)
        for above, part, node in zip(reversed(way[:-1]), reversed(path), reversed(way[1:]), strict=True):
            if node.here or node.below:
                return
            del above.below[part]


def _all(node: _Node) -> Iterator[Session]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield from node.here.values()
        waiting += node.below.values()
