"""Functions of Go templates. Arguments and answers are text, numbers, booleans, lists, dicts, or MISSING."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from policy.rego.builtins.go_format import Field, formatted
from policy.rego.builtins.operands import MAX_LENGTH, octets, text_of
from policy.rego.builtins.sprintf import sprintf
from policy.rego.builtins.urls import encode
from policy.rego.values import UNDEFINED


class Missing:
    """Type of the one value that is none: a field that is not there."""

    def __repr__(self) -> str:
        return "missing"


MISSING: Final = Missing()


class Number(str):
    """A number of the data: for Go a kind of text, which no template calculates with."""

    __slots__ = ()


def true(value: Any) -> bool:
    """Whether a value counts as true: not if it is missing, false, 0, or empty."""
    return value is not None and value is not MISSING and bool(value)


def printed(value: Any) -> str:
    """A value as an action prints it."""
    return "<no value>" if value is None or value is MISSING else _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if value is None or value is MISSING:
        return "<nil>"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is dict:
        return f"map[{' '.join(f'{name}:{_shown(value[name])}' for name in sorted(value))}]"
    return f"[{' '.join(map(_shown, value))}]" if type(value) is list else formatted(Field(), "v", value)


def print_(*values: Any) -> str:
    """Values one after the other, a space between two that are no texts."""
    text, before_is_text = "", True
    for value in values:
        text += f"{'' if before_is_text or isinstance(value, str) else ' '}{_shown(value)}"
        before_is_text = isinstance(value, str)
        _bounded(text)
    return text


def _bounded(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise ValueError("text too long")
    return text


def println(*values: Any) -> str:
    """Values with spaces between, and a line feed."""
    return _bounded(" ".join(map(_shown, values))) + "\n"


def printf(template: Any, *values: Any) -> str:
    """Go's formatting of texts and numbers. Raises ValueError for other values, and where a verb does not fit."""
    if type(template) is not str or not all(isinstance(one, str) or type(one) in (int, float) for one in values):
        raise ValueError("only texts and numbers are formatted")
    text = sprintf(template, [str(one) if isinstance(one, str) else one for one in values])
    if text is UNDEFINED or "%!" in text:
        raise ValueError("verb does not fit")
    return str(text)


def index(item: Any, *places: Any) -> Any:
    """What a list or dict holds, and so on. Raises ValueError."""
    for place in places:
        if type(item) is dict and type(place) is str:
            item = item.get(place)
        elif type(item) is list and type(place) is int and 0 <= place < len(item):
            item = item[place]
        else:
            raise ValueError("no such place")
    if item is MISSING or (item is None and not places):
        raise ValueError("index of nothing")
    return item


def slice_(item: Any, *places: Any) -> Any:
    """Part of a list, or of a text by bytes. Raises ValueError."""
    data = octets(item) if isinstance(item, str) else item
    if type(data) not in (list, bytes) or len(places) > (2 if type(data) is bytes else 3):
        raise ValueError("no slice")
    if any(type(place) is not int or not 0 <= place <= len(data) for place in places):
        raise ValueError("no such place")
    start, stop = (places[0] if places else 0), (places[1] if len(places) > 1 else len(data))
    if start > stop or (len(places) > 2 and stop > places[2]):
        raise ValueError("places upside down")
    part = data[start:stop]
    if type(part) is not bytes:
        return part
    return Number(text_of(part)) if isinstance(item, Number) else text_of(part)


def length(item: Any) -> int:
    """Elements, or bytes of a text. Raises ValueError."""
    if isinstance(item, str):
        return len(octets(item))
    if type(item) in (list, dict):
        return len(item)
    raise ValueError("no length")


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    return {bool: "bool", int: "int", float: "float"}.get(type(value), "other")


def equal(one: Any, *others: Any) -> bool:
    """Whether it equals one of the others. Raises ValueError if they cannot be compared."""
    if not others:
        raise ValueError("nothing to compare with")
    return any(_equal(one, other) for other in others)


def _equal(one: Any, other: Any) -> bool:
    if one in (None, MISSING) or other in (None, MISSING):
        return one in (None, MISSING) and other in (None, MISSING)
    if _kind(one) != _kind(other) or _kind(one) == "other":
        raise ValueError("incompatible types")
    return bool(one == other)


def less(one: Any, other: Any) -> bool:
    """Whether it is less. Raises ValueError if they cannot be compared."""
    if _kind(one) != _kind(other) or _kind(one) in ("bool", "other"):
        raise ValueError("incompatible types")
    return octets(one) < octets(other) if isinstance(one, str) else bool(one < other)


def _less_or_equal(one: Any, other: Any) -> bool:
    return less(one, other) or equal(one, other)


def _text(values: tuple[Any, ...]) -> str:
    if len(values) == 1 and type(values[0]) is str:
        return values[0]
    return print_(*("<no value>" if value in (None, MISSING) else value for value in values))


_HTML = {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SCRIPT = {"\\": r"\\", "'": r"\'", '"': r"\"", "<": r"\u003C", ">": r"\u003E", "&": r"\u0026", "=": r"\u003D"}


def html(*values: Any) -> str:
    """Text for HTML."""
    return re.sub("[\0\"'&<>]", lambda found: _HTML[found.group()], _text(values))


def js(*values: Any) -> str:
    """Text for a string of JavaScript."""
    return re.sub("[\\\\'\"<>&=\x00-\x1f\x80-\U0010ffff]", lambda found: _script(found.group()), _text(values))


def _script(char: str) -> str:
    if char in _SCRIPT:
        return _SCRIPT[char]
    return char if char >= "\x80" and char.isprintable() else f"\\u{ord(char):04X}"


FUNCTIONS: dict[str, tuple[int, int | None, Callable[..., Any]]] = {  # fewest and most arguments
    "html": (0, None, html),
    "index": (1, None, index),
    "slice": (1, None, slice_),
    "js": (0, None, js),
    "len": (1, 1, length),
    "not": (1, 1, lambda value: not true(value)),
    "print": (0, None, print_),
    "printf": (1, None, printf),
    "println": (0, None, println),
    "urlquery": (0, None, lambda *values: encode(_text(values))),
    "eq": (1, None, equal),
    "ne": (2, 2, lambda one, other: not equal(one, other)),
    "lt": (2, 2, less),
    "le": (2, 2, _less_or_equal),
    "gt": (2, 2, lambda one, other: not _less_or_equal(one, other)),
    "ge": (2, 2, lambda one, other: not less(one, other)),
}
LAZY = ("and", "or")  # they evaluate no more arguments than they need
