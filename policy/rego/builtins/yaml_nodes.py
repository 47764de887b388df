"""A YAML document as nodes, from libyaml's events, and what its scalars mean. Tags of one's own say nothing; of YAML's,
those of scalars count; dates that no tag says are dates are texts.

libyaml and go-yaml differ in little: only go-yaml reads `[a:]`, only libyaml reads the escape `\\/`, and a comma after
a tag within brackets is part of the tag for go-yaml.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from policy.rego.builtins.octets import from_base64
from policy.rego.builtins.operands import MAX_ELEMENTS, legible, octets, text_of
from policy.rego.builtins.yaml_scalars import (
    FLOAT,
    INT,
    STR,
    TIMESTAMP,
    Scalar,
    resolved,
    timestamp_text,
)
from policy.rego.values import MAX_DEPTH

_PREFIX = "tag:yaml.org,2002:"
MERGE = "!!merge"
_BINARY = "!!binary"
_RESOLVED = ("!!null", "!!bool", "!!int", "!!float", "!!timestamp")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(eq=False, slots=True)
class Node:
    """A part of a document. An alias holds the node that it stands for."""

    kind: Literal["scalar", "list", "map", "alias"]
    tag: str = ""
    text: str = ""
    nodes: list[Node] = field(default_factory=list)  # elements, or keys and values in turn

    @property
    def short_tag(self) -> str:
        """Of an alias, the other's."""
        return self.nodes[0].short_tag if self.kind == "alias" else self.tag

    @property
    def merges(self) -> bool:
        """Whether it is the key of what is merged into its map."""
        return self.kind == "scalar" and self.tag == MERGE


def first_document(text: str) -> Node | None:
    """Its node, or None where there is no document. Raises ValueError for what is no YAML, too deep or too large."""
    try:
        return _composed(yaml.parse(octets(text), Loader=_LOADER))
    except (yaml.YAMLError, UnicodeError) as error:
        raise ValueError(str(error)) from error


def _composed(events: Iterable[Any]) -> Node | None:
    first: Node | None = None
    stack: list[Node] = []
    anchors: dict[str, Node] = {}
    for count, event in enumerate(events):
        if isinstance(event, yaml.DocumentStartEvent):
            anchors = {}
            if event.version not in (None, (1, 1)):
                raise ValueError("not YAML 1.1")  # go-yaml knows no other by name
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
        if not isinstance(event, yaml.NodeEvent):
            continue
        node = _node(event, anchors)
        first = first or node
        if stack:
            stack[-1].nodes.append(node)
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(node)
        if len(stack) > MAX_DEPTH or count > 2 * MAX_ELEMENTS:
            raise ValueError("too deep or too large")
    return first


def _node(event: Any, anchors: dict[str, Node]) -> Node:
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            raise ValueError(f"unknown anchor {event.anchor}")
        return Node("alias", text=event.anchor, nodes=[anchors[event.anchor]])
    tag = event.tag if event.tag and event.tag != "!" else ""
    tag = tag.replace(_PREFIX, "!!", 1) if tag.startswith(_PREFIX) else tag
    if isinstance(event, yaml.ScalarEvent):
        node = Node("scalar", tag or _implied(event), event.value)
    elif isinstance(event, yaml.SequenceStartEvent):
        node = Node("list", tag or "!!seq")
    else:
        node = Node("map", tag or "!!map")
    if event.anchor:
        anchors[event.anchor] = node
    return node


def _implied(event: Any) -> str:
    if event.style:
        return STR
    if event.value == "<<":
        return MERGE
    tag = resolved(event.value)[0]
    return STR if tag == TIMESTAMP else tag


def scalar(node: Node) -> Scalar:
    """What a scalar stands for. Raises ValueError where it is not what its tag says."""
    if node.tag == _BINARY:
        return legible(text_of(from_base64(node.text)))
    if node.tag not in _RESOLVED:
        return node.text
    tag, value = resolved(node.text)
    if node.tag == FLOAT and tag == INT and isinstance(value, int) and value < 1 << 63:
        return float(value)
    if node.tag != tag:
        raise ValueError(f"{node.text!r} is no {node.tag}")
    return timestamp_text(node.text) if tag == TIMESTAMP else value
