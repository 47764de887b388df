"""Live data: what the gateway writes into `data` while the policy's own document stays what it is."""

from __future__ import annotations

from typing import Any

from policy.rego.values import UNDEFINED, from_python, upserted

Path = tuple[str, ...]


class _Leaf:
    """A value written at a path."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value


_Tree = dict[str, Any]  # of further trees and leaves


class LiveData:
    """A base document with live values laid over it. `document` is replaced as a whole, never changed, so a reader
    holds one state. One writer at a time.
    """

    def __init__(self, base: Any):
        self._base = base
        self._tree: _Tree = {}
        self.document: Any = base

    def put(self, path: Path, value: Any) -> None:
        """Write a JSON value. Raises TypeError if it is none, ValueError for an empty path."""
        held = from_python(value)
        if not path:
            raise ValueError("a path has at least one step")
        _insert(self._tree, path, held)
        self.document = upserted(self.document, path, held)

    def remove(self, path: Path) -> None:
        """Take a live value away; what the base document says there shows again."""
        covered = _remove(self._tree, path)
        below = UNDEFINED if covered else _at(self._base, path)
        if below is not UNDEFINED:
            self.document = upserted(self.document, path, below)
        else:
            self.document = _without(self.document, path)

    def rebase(self, base: Any) -> None:
        """Replace the base document and keep the live values."""
        self._base = base
        self.document = _laid(base, self._tree)


def _insert(tree: _Tree, path: Path, value: Any) -> None:
    for depth, step in enumerate(path[:-1]):
        node = tree.setdefault(step, {})
        if isinstance(node, _Leaf):
            tree[step] = _Leaf(upserted(node.value, path[depth + 1 :], value))
            return
        tree = node
    tree[path[-1]] = _Leaf(value)


def _remove(tree: _Tree, path: Path) -> bool:
    """Whether a live value above the path covers it, so that the base does not show."""
    step, rest = path[0], path[1:]
    node = tree.get(step)
    if not rest or node is None:
        tree.pop(step, None)
        return False
    if isinstance(node, _Leaf):
        tree[step] = _Leaf(_without(node.value, rest))
        return True
    covered = _remove(node, rest)
    if not node:
        del tree[step]
    return covered


def _laid(base: Any, tree: _Tree) -> Any:
    document = dict(base) if isinstance(base, dict) else {}
    for step, node in tree.items():
        document[step] = node.value if isinstance(node, _Leaf) else _laid(document.get(step), node)
    return document


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value.get(step, UNDEFINED) if isinstance(value, dict) else UNDEFINED
    return value


def _without(value: Any, path: Path) -> Any:
    if not isinstance(value, dict) or path[0] not in value:
        return value
    document = dict(value)
    if len(path) == 1:
        del document[path[0]]
    else:
        document[path[0]] = _without(document[path[0]], path[1:])
    return document
