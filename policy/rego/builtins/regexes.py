r"""Regular expressions by RE2, which takes time linear in the text whatever the pattern, with the meaning that they
have in OPA. What OPA refuses (look-around, back references) is undefined; so are Unicode classes under names that RE2
does not know (`\p{Letter}` for `\pL`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import re2

from policy.rego.builtins.operands import MAX_ELEMENTS, MAX_LENGTH, integer, legible
from policy.rego.values import UNDEFINED

_PATTERNS = 256  # kept compiled; each may take RE2's 8 MiB at most
_ONE_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")  # RE2 knows it, OPA does not
_GO_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\w+)|(\$))")
_CONTINUED = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))  # of a character in UTF-8
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


def _matches(pattern: Any, data: bytes) -> Iterator[Any]:
    """All matches, one after the other. As in Go, an empty one inside a character or right after another is none."""
    last = -1
    for one in pattern.finditer(data):
        start, end = one.span()
        if end > start or (start != last and data[start : start + 1] not in _CONTINUED):
            yield one
            last = end


def _first(pattern: Any, text: str, limit: int) -> list[Any]:
    most = min(limit, MAX_ELEMENTS + 1) if limit >= 0 else MAX_ELEMENTS + 1
    return list(islice(_matches(pattern, legible(text).encode()), most))


def match(pattern: Any, text: Any) -> Any:
    """Whether the pattern is found anywhere."""
    found = _pattern(pattern, text)
    return UNDEFINED if found is UNDEFINED else found.search(legible(text).encode()) is not None


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
    data, parts, last = legible(text).encode(), [], 0
    for one in _first(found, text, -1):
        start, end = one.span()
        if end == 0 or start == end == len(data):
            continue
        parts.append(data[last:start].decode())
        last = end
    return [*parts, data[last:].decode()] if len(parts) < MAX_ELEMENTS else UNDEFINED


def find_n(pattern: Any, text: Any, limit: Any) -> Any:
    """The first matches, all if the limit is negative."""
    found, limit = _pattern(pattern, text), integer(limit)
    if found is UNDEFINED or limit is UNDEFINED:
        return UNDEFINED
    matches = [one.group().decode() for one in _first(found, text, limit)]
    return matches if len(matches) <= MAX_ELEMENTS else UNDEFINED


def find_all_submatch_n(pattern: Any, text: Any, limit: Any) -> Any:
    """The first matches, each with its groups."""
    found, limit = _pattern(pattern, text), integer(limit)
    if found is UNDEFINED or limit is UNDEFINED:
        return UNDEFINED
    matches = _first(found, text, limit)
    if len(matches) * (found.groups + 1) > MAX_ELEMENTS:
        return UNDEFINED
    return [[(group or b"").decode() for group in (one.group(), *one.groups())] for one in matches]


def replace(text: Any, pattern: Any, value: Any) -> Any:
    """Every match replaced; `$1` and `${name}` are groups, as in Go."""
    found = _pattern(pattern, text, value)
    if found is UNDEFINED:
        return UNDEFINED
    data, parts, last, length = legible(text).encode(), [], 0, len(text)
    for one in _matches(found, data):
        expanded = _expanded(value, one) if "$" in value else value
        length += len(expanded)
        if length > MAX_LENGTH:
            return UNDEFINED
        parts += [data[last : one.start()].decode(), expanded]
        last = one.end()
    return "".join([*parts, data[last:].decode()]) if parts else text


def _expanded(template: str, found: Any) -> str:
    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        is_number = name.isascii() and name.isdecimal() and len(name) < 9
        number = int(name) if is_number else found.re.groupindex.get(name, -1)
        return (found.group(number) or b"").decode() if 0 <= number <= found.re.groups else ""

    return _GO_GROUP.sub(group, template)


def template_match(template: Any, text: Any, start: Any, end: Any) -> Any:
    """Whether the whole text matches a text with patterns in it, each between the two characters."""
    if not all(type(one) is str for one in (template, text, start, end)):
        return UNDEFINED
    if len(start) != 1 or len(end) != 1 or not (start + end).isascii():
        return UNDEFINED
    return match(_of_template(template, start, end), text)


@lru_cache(maxsize=_PATTERNS)
def _of_template(template: str, start: str, end: str) -> Any:
    parts, level, last = ["^"], 0, 0
    for at, char in enumerate(template):
        if char == start:
            level += 1
            if level == 1:
                parts.append(re.escape(template[last:at]))
                last = at + 1
        elif char == end:
            level -= 1
            if level == 0:
                parts.append(f"({template[last:at]})")
                last = at + 1
                if compiled(f"^{parts[-1][1:-1]}$") is UNDEFINED:
                    return UNDEFINED
            elif level < 0:
                return UNDEFINED
    return "".join([*parts, re.escape(template[last:]), "$"]) if level == 0 else UNDEFINED


BUILTINS = {
    "regex.match": match,
    "re_match": match,
    "regex.is_valid": is_valid,
    "regex.split": split,
    "regex.find_n": find_n,
    "regex.find_all_string_submatch_n": find_all_submatch_n,
    "regex.replace": replace,
    "regex.template_match": template_match,
}
