"""Data documents as they are read: JSON or YAML, one object.

A large JSON text is decoded member by member, two levels deep: Python's decoder lets nobody else run while it decodes,
and other threads must not wait for a million members.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from policy.rego import json_text, numerals
from policy.rego.values import from_python

SLICED = 1 << 20  # characters from which on a text is decoded in slices
LEVELS = 2
_SPACE = re.compile(r"[ \t\n\r]*")


def decoded(text: str) -> Any:
    """The value of a JSON text. Raises ValueError, json.JSONDecodeError among others."""
    if len(text) < SLICED:
        return json_text.decode(text)
    value, end = _Slices(text).value(_SPACE.match(text).end(), LEVELS)  # type: ignore[union-attr]
    if _SPACE.fullmatch(text, end) is None:
        raise json.JSONDecodeError("Extra data", text, end)
    return from_python(value)


class _Slices:
    def __init__(self, text: str):
        self._text = text
        self._decoder = json.JSONDecoder(parse_float=numerals.decimal, parse_constant=_refuse)

    def value(self, at: int, levels: int) -> tuple[Any, int]:
        """The value at a position, and where it ends."""
        if levels and self._text.startswith("{", at):
            return self._object(at, levels)
        found, end = self._decoder.raw_decode(self._text, at)
        return found, end

    def _object(self, at: int, levels: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = self._skip(at + 1)
        while not self._text.startswith("}", at):
            name, at = self._decoder.raw_decode(self._text, at)
            if type(name) is not str:
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self._text, at)
            found[name], at = self.value(self._after(":", self._skip(at)), levels - 1)
            at = self._skip(at)
            if not self._text.startswith("}", at):
                at = self._after(",", at)
                if self._text.startswith("}", at):
                    raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self._text, at)
        return found, at + 1

    def _after(self, mark: str, at: int) -> int:
        if not self._text.startswith(mark, at):
            raise json.JSONDecodeError(f"Expecting '{mark}' delimiter", self._text, at)
        return self._skip(at + 1)

    def _skip(self, at: int) -> int:
        return _SPACE.match(self._text, at).end()  # type: ignore[union-attr]


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class Plain(yaml.SafeLoader):
    """YAML without aliases: a few lines of them make more values than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node, of which each is written once. Raises ComposerError."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not read here", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)
