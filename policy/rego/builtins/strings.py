"""Text, in characters as Go counts them: cases change one by one, `ß` stays `ß`, and a sigma at a word's end `σ`."""

from __future__ import annotations

import inspect
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from policy.rego.builtins.operands import MAX_ELEMENTS, MAX_LENGTH, integer, octets, text_of
from policy.rego.values import UNDEFINED, RegoSet, ordered, unkey

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def texts(function: Callable[..., Any]) -> Callable[..., Any]:
    """A builtin of texts alone: undefined if any argument is not text."""
    if len(inspect.signature(function).parameters) == 1:
        return lambda value: function(value) if type(value) is str else UNDEFINED
    if len(inspect.signature(function).parameters) == 2:
        return lambda a, b: function(a, b) if type(a) is str and type(b) is str else UNDEFINED
    return lambda a, b, c: function(a, b, c) if type(a) is type(b) is type(c) is str else UNDEFINED


def strings_in(value: Any) -> Any:
    """An array's or set's elements in order if all are text, or undefined."""
    if type(value) is RegoSet:
        value = ordered(map(unkey, value.keys))
    if type(value) is not list or not all(type(one) is str for one in value):
        return UNDEFINED
    return value


def concat(delimiter: Any, collection: Any) -> Any:
    """Elements joined."""
    parts = strings_in(collection)
    if parts is UNDEFINED or type(delimiter) is not str:
        return UNDEFINED
    if sum(map(len, parts)) + len(delimiter) * len(parts) > MAX_LENGTH:
        return UNDEFINED
    return delimiter.join(parts)


def indexof_n(text: str, search: str) -> Any:
    """Every index at which `search` begins."""
    if not search:
        return UNDEFINED
    found: list[int] = []
    at = text.find(search)
    while at >= 0 and len(found) <= MAX_ELEMENTS:
        found.append(at)
        at = text.find(search, at + 1)
    return found if len(found) <= MAX_ELEMENTS else UNDEFINED


def substring(text: Any, offset: Any, length: Any) -> Any:
    """`length` characters from `offset`; all that follow if it is negative."""
    offset, length = integer(offset), integer(length)
    if type(text) is not str or offset is UNDEFINED or length is UNDEFINED or offset < 0:
        return UNDEFINED
    return text[offset:] if length < 0 else text[offset : offset + length]


def replace(text: str, old: str, new: str) -> Any:
    """Every occurrence replaced."""
    if not old:
        return _between_bytes({}, new, text)
    if len(text) + text.count(old) * len(new) > MAX_LENGTH:
        return UNDEFINED
    return text.replace(old, new)


def replace_n(patterns: Any, text: Any) -> Any:
    """Replace by a table of old and new; where several match, the first in order."""
    if type(patterns) is not dict or type(text) is not str:
        return UNDEFINED
    if not all(type(one) is str for one in (*map(unkey, patterns), *patterns.values())):
        return UNDEFINED
    if "" in patterns:
        return _between_bytes({old: new for old, new in patterns.items() if old}, patterns[""], text)
    if not patterns:
        return text
    either = re.compile("|".join(map(re.escape, sorted(patterns))))
    if len(text) + sum(len(patterns[found]) for found in either.findall(text)) > MAX_LENGTH:
        return UNDEFINED
    return either.sub(lambda found: patterns[found.group()], text)


def _between_bytes(patterns: dict[str, str], between: str, text: str) -> Any:
    """As Go replaces the empty text: before each byte and each other match, and at the end."""
    table = {octets(old): octets(new) for old, new in patterns.items()}
    either = re.compile(b"|".join([*map(re.escape, sorted(table)), b"."]), re.DOTALL)
    mark = octets(between)
    parts = [table.get(found, found) for found in either.findall(octets(text))]
    if sum(map(len, parts)) + len(mark) * (len(parts) + 1) > MAX_LENGTH:
        return UNDEFINED
    return text_of(b"".join([mark, *(part + mark for part in parts)]))


def any_match(prepared: Callable[[str], str]) -> Callable[[Any, Any], Any]:
    """Whether any text of the first, once prepared, begins with any of the second; each a text, array or set."""

    def builtin(search: Any, base: Any) -> Any:
        searched = [search] if type(search) is str else strings_in(search)
        bases = [base] if type(base) is str else strings_in(base)
        if searched is UNDEFINED or bases is UNDEFINED:
            return UNDEFINED
        return _any_begins(sorted(map(prepared, searched)), map(prepared, bases))

    return builtin


def _any_begins(searched: Sequence[str], bases: Any) -> bool:
    for base in bases:
        at = bisect_left(searched, base)  # what begins with it comes right behind it
        if at < len(searched) and searched[at].startswith(base):
            return True
    return False


def split(text: str, delimiter: str) -> Any:
    """Parts between delimiters; characters if it is empty."""
    if text.count(delimiter) > MAX_ELEMENTS:
        return UNDEFINED
    return text.split(delimiter) if delimiter else list(text)


def split_n(text: Any, delimiter: Any, count: Any) -> Any:
    """The first parts, or the last if the count is negative."""
    count = integer(count)
    if type(text) is not str or type(delimiter) is not str or count is UNDEFINED:
        return UNDEFINED
    parts = split(text, delimiter)
    if parts is UNDEFINED:
        return UNDEFINED
    return parts[:count] if count >= 0 else parts[max(len(parts) + count, 0) :]


def lower(text: str) -> str:
    """Each character's lower case."""
    return text.lower() if text.isascii() else text.replace("Σ", "σ").replace("İ", "i").lower()


def upper(text: str) -> str:
    """Each character's upper case."""
    return text.upper() if text.isascii() else "".join(map(_upper, text))


@cache
def _upper(one: str) -> str:
    return next((case for case in (one.upper(), one.title()) if len(case) == 1), one)


def _cut(cut: Callable[[str, str], str]) -> Callable[..., Any]:
    return texts(lambda text, characters: cut(text, characters) if characters else text)


BUILTINS = {
    "concat": concat,
    "contains": texts(lambda text, search: search in text),
    "startswith": texts(lambda text, base: text.startswith(base)),
    "endswith": texts(lambda text, base: text.endswith(base)),
    "indexof": texts(lambda text, search: text.find(search) if search else UNDEFINED),
    "indexof_n": texts(indexof_n),
    "lower": texts(lower),
    "upper": texts(upper),
    "replace": texts(replace),
    "split": texts(split),
    "substring": substring,
    "trim": _cut(str.strip),
    "trim_left": _cut(str.lstrip),
    "trim_right": _cut(str.rstrip),
    "trim_prefix": texts(lambda text, prefix: text.removeprefix(prefix)),
    "trim_suffix": texts(lambda text, suffix: text.removesuffix(suffix)),
    "trim_space": texts(lambda text: text.strip(_SPACES)),
    "strings.reverse": texts(lambda text: text[::-1]),
    "strings.count": texts(lambda text, search: text.count(search)),
    "strings.replace_n": replace_n,
    "strings.split_n": split_n,
    "strings.any_prefix_match": any_match(lambda text: text),
    "strings.any_suffix_match": any_match(lambda text: text[::-1]),
}
