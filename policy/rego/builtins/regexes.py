"""Regular expressions: RE2 where the `re2` module is installed, Python's `re` otherwise.

Python's `re` may take exponential time on some patterns, and knows what RE2 does not: look-around and back references
are undefined here, as they are in OPA, and RE2's `\\z` is understood.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from policy.rego.builtins.arithmetic import whole
from policy.rego.values import UNDEFINED

_ENGINE: Any = import_module("re2") if find_spec("re2") else re
_NOT_RE2 = re.compile(r"\(\?[=!>]|\(\?<[=!]|\(\?P=|\(\?\(|(?<!\\)(?:\\\\)*\\[1-9Z]|[*+?}]\+")
_GO_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\w+)|(\$))")
_CLASSES = {r"\z": r"\Z", r"(?<": "(?P<"}


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """A compiled pattern, or undefined if it is not RE2's."""
    if _NOT_RE2.search(pattern):
        return UNDEFINED
    try:
        return _ENGINE.compile(_translated(pattern), re.ASCII) if _ENGINE is re else _ENGINE.compile(pattern)
    except (re.error, RecursionError, OverflowError, ValueError):
        return UNDEFINED


def _translated(pattern: str) -> str:
    for go, python in _CLASSES.items():
        pattern = pattern.replace(go, python)
    return pattern


def _pattern(pattern: Any, *texts: Any) -> Any:
    if type(pattern) is not str or not all(type(text) is str for text in texts):
        return UNDEFINED
    return compiled(pattern)


def match(pattern: Any, text: Any) -> Any:
    """Whether the pattern is found anywhere."""
    found = _pattern(pattern, text)
    return UNDEFINED if found is UNDEFINED else found.search(text) is not None


def is_valid(pattern: Any) -> bool:
    """Whether it is a pattern."""
    return _pattern(pattern) is not UNDEFINED


def split(pattern: Any, text: Any) -> Any:
    """Parts between matches."""
    found = _pattern(pattern, text)
    if found is UNDEFINED:
        return UNDEFINED
    parts, last = [], 0
    for one in found.finditer(text):
        if one.end() == 0 or (one.start() == one.end() == len(text)):
            continue
        parts.append(text[last : one.start()])
        last = one.end()
    return [*parts, text[last:]]


def find_n(pattern: Any, text: Any, limit: Any) -> Any:
    """The first matches, all if the limit is negative."""
    found, limit = _pattern(pattern, text), whole(limit)
    if found is UNDEFINED or limit is UNDEFINED:
        return UNDEFINED
    matches = [one.group() for one in found.finditer(text)]
    return matches if limit < 0 else matches[:limit]


def find_all_submatch_n(pattern: Any, text: Any, limit: Any) -> Any:
    """The first matches, each with its groups."""
    found, limit = _pattern(pattern, text), whole(limit)
    if found is UNDEFINED or limit is UNDEFINED:
        return UNDEFINED
    matches = [[one.group(), *(group or "" for group in one.groups())] for one in found.finditer(text)]
    return matches if limit < 0 else matches[:limit]


def replace(text: Any, pattern: Any, value: Any) -> Any:
    """Every match replaced; `$1` and `${name}` are groups, as in Go."""
    found = _pattern(pattern, text, value)
    return UNDEFINED if found is UNDEFINED else found.sub(lambda one: _expanded(value, one), text)


def _expanded(template: str, found: Any) -> str:
    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return found.group(int(name) if name.isdecimal() else name) or ""
        except (IndexError, re.error):
            return ""

    return _GO_GROUP.sub(group, template)


BUILTINS = {
    "regex.match": match,
    "regex.is_valid": is_valid,
    "regex.split": split,
    "regex.find_n": find_n,
    "regex.find_all_string_submatch_n": find_all_submatch_n,
    "regex.replace": replace,
}
