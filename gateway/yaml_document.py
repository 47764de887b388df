"""A YAML document as plain values, with the line of each key; ambiguous or explosive YAML is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

Key = tuple[str | int, ...]  # the way to a value from the top: ("routes", 0, "prefix")

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
_MAP, _SEQUENCE, _TEXT = (f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str"))


class InvalidDocument(ValueError):
    """The text is not a document that can be meant in only one way; `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says. `lines[key]` is the line on which that key stands."""

    values: dict[str, Any]
    lines: dict[Key, int] = field(default_factory=dict)


def read_document(data: bytes) -> Document:
    """Read one YAML 1.1 mapping. Raises InvalidDocument, also for duplicate keys, aliases, tags and deep nesting."""
    text = _text(data)
    try:
        _refuse_explosives(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        reader = _Reader()
        values = {} if node is None else reader.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InvalidDocument(mark.line + 1 if mark else 1, error.problem or "not YAML") from error
    except yaml.reader.ReaderError as error:
        raise InvalidDocument(1 + text.count("\n", 0, error.position), "a character that YAML forbids") from error
    if not isinstance(values, dict):
        raise InvalidDocument(1, "must be a mapping of keys to values")
    return Document(values, reader.lines)


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise InvalidDocument(1, f"larger than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDocument(1 + data.count(b"\n", 0, error.start), "not UTF-8") from error


def _refuse_explosives(text: str) -> None:
    # Events come from a parser without recursion; what they show is safe to compose, which does recurse.
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InvalidDocument(_line(event), "anchors and aliases are not read here")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise InvalidDocument(_line(event), f"nested deeper than {MAX_DEPTH}")


class _Reader:
    """Turns nodes into values and remembers the line of each key."""

    def __init__(self) -> None:
        self.lines: dict[Key, int] = {}
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, key: Key) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
            return [self._item(item, (*key, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        raise InvalidDocument(_line(node), f"the tag {node.tag} is not read here")

    def _item(self, node: yaml.Node, key: Key) -> Any:
        self.lines[key] = _line(node)
        return self.value(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, child in node.value:
            if name.tag != _TEXT:
                raise InvalidDocument(_line(name), "a key must be text; put it in quotes")
            if name.value in values:
                first = self.lines[(*key, name.value)]
                raise InvalidDocument(_line(name), f"the key {name.value!r} stands already on line {first}")
            self.lines[(*key, name.value)] = _line(name)
            values[name.value] = self.value(child, (*key, name.value))
        return values

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return self._scalars.construct_object(node)
        except (ValueError, OverflowError) as error:  # 2024-99-99, or a number with 5000 digits
            raise InvalidDocument(_line(node), "not a number or date that exists") from error


def _line(node: yaml.Node | yaml.Event) -> int:
    return node.start_mark.line + 1 if node.start_mark else 1
