"""YAML to JSON-like Python, as go-yaml v3 and OPA read it: the first document of a stream that is YAML to its end. The
last of equal keys wins, `<<` merges, and keys become texts.
"""

from __future__ import annotations

from typing import Any

from policy.rego.builtins.operands import MAX_ELEMENTS
from policy.rego.builtins.yaml_nodes import MERGE, Node, first_document, scalar
from policy.rego.builtins.yaml_scalars import NULL, STR, key_text
from policy.rego.values import MAX_DEPTH


def read(text: str) -> Any:
    """None, bool, int, float, str, list and dict of texts, NaN and infinities among the floats. Raises ValueError for
    what is no YAML, for more than MAX_DEPTH lists and maps in one another, and for aliases that say too much.
    """
    first = first_document(text)
    return None if first is None else _Decoder().value(first)


class _Decoder:
    """Counts what it makes: aliases must not make much of little (the limits are go-yaml's)."""

    def __init__(self) -> None:
        self._made = 0
        self._by_aliases = 0
        self._open: list[Node] = []  # aliases that are being followed

    def value(self, node: Node, depth: int = 0) -> Any:
        """What a node stands for."""
        self._count(depth)
        if node.kind == "alias":
            return self._followed(node, lambda target: self.value(target, depth))
        if node.kind == "list":
            return [self.value(one, depth + 1) for one in node.nodes]
        return self._map(node, depth) if node.kind == "map" else scalar(node)

    def _followed(self, alias: Node, use: Any) -> Any:
        if alias in self._open:
            raise ValueError(f"{alias.text} holds itself")
        self._open.append(alias)
        found = use(alias.nodes[0])
        self._open.pop()
        return found

    def _count(self, depth: int) -> None:
        self._made += 1
        self._by_aliases += bool(self._open)
        share = 0.99 - 0.89 * min(max((self._made - 400_000) / 3_600_000, 0), 1)
        bomb = self._by_aliases > 100 and self._made > 1000 and self._by_aliases > share * self._made
        if bomb or depth > MAX_DEPTH or self._made > MAX_ELEMENTS:
            raise ValueError("aliases say too much, or it is too deep or too large")

    def _map(self, node: Node, depth: int) -> dict[str, Any]:
        textual = all(key.short_tag in (STR, MERGE) for key in node.nodes[::2])
        made: dict[str, Any] = {}
        self._fill(made, node, depth, textual, None)
        return made

    def _fill(self, made: dict[str, Any], node: Node, depth: int, textual: bool, taken: set[Any] | None) -> None:
        """Add a map's pairs: all, or of one that is merged, those whose keys are not taken."""
        pairs, merged = self._pairs(node)
        own = {"<<"}
        for key, value in pairs:
            name = self._name(key, textual)
            if name is None or (taken is not None and name in taken):
                continue
            (own if taken is None else taken).add(name)
            made[name if isinstance(name, str) else key_text(name[1])] = self.value(value, depth + 1)
        for other in merged:
            target = other.nodes[0] if other.kind == "alias" else other
            if target.kind != "map":
                raise ValueError("only maps are merged")
            self._merge(made, other, depth, textual, own if taken is None else taken)

    def _merge(self, made: dict[str, Any], node: Node, depth: int, textual: bool, taken: set[Any]) -> None:
        self._count(depth)
        if node.kind == "alias":
            self._followed(node, lambda target: self._merge(made, target, depth, textual, taken))
        else:
            self._fill(made, node, depth, textual, taken)

    def _name(self, node: Node, textual: bool) -> Any:
        """A key: text as it is, anything else with its type; none of null where all others are text."""
        self._count(0)
        if node.kind == "alias":
            return self._followed(node, lambda target: self._name(target, textual))
        if node.kind != "scalar":
            raise ValueError("only scalars are keys")
        value = scalar(node)
        if textual:
            return None if node.tag == NULL else value if isinstance(value, str) else node.text
        return value if isinstance(value, str) else (type(value), value)

    def _pairs(self, node: Node) -> tuple[list[tuple[Node, Node]], list[Node]]:
        """Pairs without repeated keys, and the nodes to be merged in, in order."""
        given = list(zip(node.nodes[::2], node.nodes[1::2], strict=True))
        merges = [value for key, value in given if key.merges]
        merged = [one for value in merges for one in (value.nodes if value.kind == "list" else [value])]
        quoted = any(key.kind == "scalar" and key.text == "<<" and not key.merges for key, _ in given)
        if (quoted and merges) or (len(merges) > 1 and len(merged) < 2):
            raise ValueError("<< given twice")
        pairs: dict[Any, tuple[Node, Node]] = {}
        for key, value in given:
            if not key.merges:
                name = _identity(key)
                if key.kind == "alias" and name in pairs:
                    raise ValueError("alias given twice as a key")
                pairs[name] = (pairs[name][0] if name in pairs else key, value)
        return list(pairs.values()), merged


def _identity(key: Node) -> Any:
    """What makes keys the same key: the text that they become."""
    if key.kind != "scalar":
        return (key.kind, key.text)
    try:
        return key_text(scalar(key))
    except ValueError:
        return key  # refused later
