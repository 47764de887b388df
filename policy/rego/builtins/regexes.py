"""Regular expressions by RE2, which takes time linear in the text whatever the pattern, with the meaning that they have
in OPA. What OPA refuses (look-around, back references) is undefined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import re2

from policy.rego.builtins.arithmetic import whole
from policy.rego.values import UNDEFINED

_PATTERNS = 256  # kept compiled; each may take RE2's 8 MiB at most
_ONE_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")  # RE2 knows it, OPA does not
_GO_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\w+)|(\$))")
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


@lru_cache(maxsize=_PATTERNS)
def compiled(pattern: str) -> Any:
    """A compiled pattern, or undefined if it is not one of OPA's."""
    if _ONE_BYTE.search(pattern):
        return UNDEFINED
    try:
        return re2.compile(pattern, _OPTIONS)
    except (re2.error, UnicodeEncodeError):
        return UNDEFINED


def _pattern(pattern: Any, *texts: Any) -> Any:
    if type(pattern) is not str or not all(type(text) is str for text in texts):
        return UNDEFINED
    return compiled(pattern)


def _matches(pattern: Any, text: str) -> Iterator[Any]:
    """All matches in a text, one after the other. As in Go, an empty one right after another match is none."""
    last = -1
    for one in pattern.finditer(text):
        if one.end() > one.start() or one.start() != last:
            yield one
        last = one.end()


def match(pattern: Any, text: Any) -> Any:
    """Whether the pattern is found anywhere."""
    found = _pattern(pattern, text)
    return UNDEFINED if found is UNDEFINED else found.search(text.encode()) is not None


def is_valid(pattern: Any) -> bool:
    """Whether it is a pattern."""
    return _pattern(pattern) is not UNDEFINED


def split(pattern: Any, text: Any) -> Any:
    """Parts between matches."""
    found = _pattern(pattern, text)
    if found is UNDEFINED:
        return UNDEFINED
    if not pattern and not text:
        return []
    parts, last = [], 0
    for one in _matches(found, text):
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
    matches = [one.group() for one in _matches(found, text)]
    return matches if limit < 0 else matches[:limit]


def find_all_submatch_n(pattern: Any, text: Any, limit: Any) -> Any:
    """The first matches, each with its groups."""
    found, limit = _pattern(pattern, text), whole(limit)
    if found is UNDEFINED or limit is UNDEFINED:
        return UNDEFINED
    matches = [[one.group(), *(group or "" for group in one.groups())] for one in _matches(found, text)]
    return matches if limit < 0 else matches[:limit]


def replace(text: Any, pattern: Any, value: Any) -> Any:
    """Every match replaced; `$1` and `${name}` are groups, as in Go."""
    found = _pattern(pattern, text, value)
    if found is UNDEFINED:
        return UNDEFINED
    parts, last = [], 0
    for one in _matches(found, text):
        parts += [text[last : one.start()], _expanded(value, one)]
        last = one.end()
    return "".join([*parts, text[last:]])


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
