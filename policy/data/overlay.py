"""A base document with live values laid over it, changed in place. Each live value keeps what it displaced, so that the
base can be had back, and a change costs its path and its value, not the document.

An array of the base is one value: it becomes live as a whole when something in it changes. Its copy is shallow; what
lies deeper is copied when that changes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from policy.data.json_pointer import Path, at
from policy.data.undo import Undo, write
from policy.rego.values import UNDEFINED

Write = Callable[[dict[str, Any], str, Any], None]
Live = tuple[Path, Any, bool]  # where; the value, UNDEFINED for a hidden one; whether an object stays there when empty


class Leaf:
    """A live value, in the document too; UNDEFINED hides the base's own, which is `below`."""

    __slots__ = ("below", "own", "value")

    def __init__(self, value: Any, below: Any, own: set[int] | None):
        self.value = value
        self.below = below
        self.own = own  # ids of the containers in it that are no longer the base's; None: all are ours


class Node:
    """An object with live values in it."""

    __slots__ = ("below", "children", "kept", "made")

    def __init__(self) -> None:
        self.children: dict[str, Any] = {}  # of nodes and leaves
        self.made = False  # the object is ours: the base has `below` there
        self.below: Any = UNDEFINED
        self.kept = False  # the object stays when nothing is left in it


class Overlay:
    """`document` is the base, which must be a tree. Changes return what they replaced, and can be taken back
    until `undo` forgets them.
    """

    def __init__(self, base: dict[str, Any]):
        self.document = base
        self.undo = Undo()
        self._root = Node()

    def put(self, path: Path, value: Any, own: set[int] | None = None) -> Path:
        """Write a value that is ours; objects on the way are made, in place of whatever is there."""
        node, holder, replaced = self._root, self.document, len(path)
        for depth, step in enumerate(path[:-1], 1):
            child = node.children.get(step)
            if type(child) is Leaf:
                return path[: min(replaced, depth + self._put_within(node, holder, step, path[depth:], value))]
            if child is None:
                child = Node()
                self.undo.write(node.children, step, child)
            if type(holder.get(step)) is not dict:
                self.undo.assign(child, made=True, below=holder.get(step, UNDEFINED))
                self.undo.write(holder, step, {})
                replaced = min(replaced, depth)
            node, holder = child, holder[step]
        self._lay(node, holder, path[-1], value, own)
        return path[:replaced]

    def lift(self, path: Path) -> list[Path]:
        """Take live values away; what the base says there shows again. Nothing is replaced if there were none."""
        node, holder, trail = self._root, self.document, []
        for depth, step in enumerate(path[:-1], 1):
            child = node.children.get(step)
            if child is None:
                return []
            if type(child) is Leaf:
                return [path] if self._cut_within(child.value, path[depth:]) else []
            trail.append((node, holder, step))
            inner = holder.get(step)
            node, holder = child, inner if type(inner) is dict else {}  # no object: nothing shows that could be live
        child = node.children.get(path[-1])
        if child is None:
            return []
        self.undo.write(holder, path[-1], _base(child, holder, path[-1], self.undo.write))
        self.undo.write(node.children, path[-1], UNDEFINED)
        return [path[: self._tidy(trail)]]

    def hide(self, path: Path) -> Path:
        """Take away what lies at the end of a path through objects, be it live or the base's."""
        node, holder, trail = self._root, self.document, []
        for depth, step in enumerate(path[:-1], 1):
            child = node.children.get(step)
            if type(child) is Leaf:
                self._cut_within(child.value, path[depth:])
                return path
            if child is None:
                child = Node()
                self.undo.write(node.children, step, child)
            trail.append((node, holder, step))
            node, holder = child, holder[step]
        below = _base(node.children.get(path[-1]), holder, path[-1], self.undo.write)
        hidden = UNDEFINED if below is UNDEFINED else Leaf(UNDEFINED, below, None)
        self.undo.write(node.children, path[-1], hidden)
        self.undo.write(holder, path[-1], UNDEFINED)
        if node.made and not holder:
            self.undo.assign(node, kept=True)
        self._tidy(trail)
        return path

    def claimed(self, path: Path, array: int) -> Any:
        """The array or object at a path whose first `array` steps lead to an array, made ours to change in place."""
        leaf, depth = self._leaf(path[:array])
        if leaf is None:
            ours = list(at(self.document, path[:array]))
            self.put(path[:array], ours, {id(ours)})
            leaf, depth = self._leaf(path[:array])
        container = leaf.value
        for step in path[depth:]:
            place = int(step) if type(container) is list else step
            if leaf.own is not None and id(container[place]) not in leaf.own:
                ours = copy.copy(container[place])
                leaf.own.add(id(ours))
                self.undo.replace(container, place, ours)
            container = container[place]
        return container

    def live(self) -> Iterator[Live]:
        """What is laid over the base, as `laid` takes it."""
        return _live(self._root, ())

    def lay(self, live: Iterable[Live]) -> None:
        """Lay what another overlay told of itself over the base, where nothing is laid yet."""
        for path, value, kept in live:
            node = self._root
            for step in path if kept else path[:-1]:
                node = node.children.setdefault(step, Node())
            if kept:
                node.kept = True
            else:
                node.children[path[-1]] = Leaf(value, UNDEFINED, None)
        _lay_all(self._root, self.document)

    def rebase(self, base: dict[str, Any]) -> None:
        """Make the old base what it was, and lay the live values over another."""
        for step, child in self._root.children.items():
            write(self.document, step, _base(child, self.document, step, write))
        self.document = base
        _lay_all(self._root, base)

    def _lay(self, node: Node, holder: dict[str, Any], step: str, value: Any, own: set[int] | None = None) -> None:
        below = _base(node.children.get(step), holder, step, self.undo.write)
        self.undo.write(node.children, step, Leaf(value, below, own))
        self.undo.write(holder, step, value)

    def _put_within(self, node: Node, holder: dict[str, Any], step: str, rest: Path, value: Any) -> int:
        """Write into a live value. How many steps of the rest were there already."""
        inner = node.children[step].value
        if type(inner) is not dict:
            self._lay(node, holder, step, _nested(rest, value))
            return 0
        for depth, name in enumerate(rest[:-1], 1):
            if type(inner.get(name)) is not dict:
                self.undo.write(inner, name, _nested(rest[depth:], value))
                return depth
            inner = inner[name]
        self.undo.write(inner, rest[-1], value)
        return len(rest)

    def _cut_within(self, inner: Any, rest: Path) -> bool:
        for name in rest[:-1]:
            inner = inner.get(name) if type(inner) is dict else None
        if type(inner) is not dict or rest[-1] not in inner:
            return False
        self.undo.write(inner, rest[-1], UNDEFINED)
        return True

    def _tidy(self, trail: list[tuple[Node, dict[str, Any], str]]) -> int:
        """Take away, from below, what nothing live is left in. How many steps lead to what was replaced."""
        replaced = len(trail) + 1
        for depth in range(len(trail), 0, -1):
            node, holder, step = trail[depth - 1]
            child = node.children[step]
            gone = child.made and not child.kept and not holder[step]
            if gone:
                self.undo.write(holder, step, child.below)
                self.undo.assign(child, made=False, below=UNDEFINED)
                replaced = depth
            if not child.children and not child.kept:
                self.undo.write(node.children, step, UNDEFINED)
            elif not gone:
                break
        return replaced

    def _leaf(self, path: Path) -> tuple[Any, int]:
        """The leaf at a path or above, and how many steps lead to it; None if there is none."""
        found: Any = self._root
        for depth, step in enumerate(path, 1):
            found = found.children.get(step)
            if found is None or type(found) is Leaf:
                return found, depth
        return None, len(path)


def _live(node: Node, path: Path) -> Iterator[Live]:
    for step, child in node.children.items():
        place = (*path, step)
        if type(child) is Leaf:
            yield place, child.value, False
        else:
            if child.kept:
                yield place, UNDEFINED, True
            yield from _live(child, place)


def _base(child: Any, holder: dict[str, Any], step: str, write: Write) -> Any:
    """What the base has under a name, with everything live taken out of it."""
    if type(child) is Leaf or (type(child) is Node and child.made):
        return child.below
    inner = holder.get(step, UNDEFINED)
    if child is not None and type(inner) is dict:
        for name, live in child.children.items():
            write(inner, name, _base(live, inner, name, write))
    return inner


def _lay_all(node: Node, holder: dict[str, Any]) -> None:
    for step, child in node.children.items():
        if type(child) is Leaf:
            child.below = holder.get(step, UNDEFINED)
            write(holder, step, child.value)
        else:
            _lay_object(child, holder, step)


def _lay_object(node: Node, holder: dict[str, Any], step: str) -> None:
    inner = holder.get(step, UNDEFINED)
    if type(inner) is dict:
        node.made, node.below = False, UNDEFINED
        _lay_all(node, inner)
        return
    made: dict[str, Any] = {}
    _lay_all(node, made)
    node.made = bool(made) or node.kept  # else there is only what would be hidden, if it were there
    node.below = inner if node.made else UNDEFINED
    if node.made:
        holder[step] = made


def _nested(path: Path, value: Any) -> Any:
    for step in reversed(path):
        value = {step: value}
    return value
