"""Text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from policy.rego.builtins.arithmetic import whole
from policy.rego.values import UNDEFINED, RegoSet, ordered, unkey

MAX_LENGTH = 16 * 1024 * 1024  # characters; a longer result is undefined


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
    return UNDEFINED if parts is UNDEFINED or type(delimiter) is not str else delimiter.join(parts)


def indexof_n(text: str, search: str) -> Any:
    """Every index at which `search` begins."""
    if not search:
        return UNDEFINED
    return [index for index in range(len(text) - len(search) + 1) if text.startswith(search, index)]


def substring(text: Any, offset: Any, length: Any) -> Any:
    """`length` characters from `offset`; all that follow if it is negative."""
    offset, length = whole(offset), whole(length)
    if type(text) is not str or offset is UNDEFINED or length is UNDEFINED or offset < 0:
        return UNDEFINED
    return text[offset:] if length < 0 else text[offset : offset + length]


def replace(text: str, old: str, new: str) -> Any:
    """Every occurrence replaced."""
    if text.count(old) * len(new) > MAX_LENGTH:
        return UNDEFINED
    return text.replace(old, new)


def replace_n(patterns: Any, text: Any) -> Any:
    """Replace by a table of old and new, earlier ones first at each position."""
    if type(patterns) is not dict or type(text) is not str or not all(type(one) is str for one in patterns.values()):
        return UNDEFINED
    olds = [unkey(item) for item in patterns]
    if not all(type(old) is str for old in olds):
        return UNDEFINED
    if not olds:
        return text
    either = "|".join(map(re.escape, sorted(olds)))
    return re.sub(either, lambda found: patterns[found.group()], text)


def any_match(test: Callable[[str, str], bool]) -> Callable[[Any, Any], Any]:
    """Whether any text of the first passes with any of the second; each a text, array or set."""

    def builtin(search: Any, base: Any) -> Any:
        searched = [search] if type(search) is str else strings_in(search)
        bases = [base] if type(base) is str else strings_in(base)
        if searched is UNDEFINED or bases is UNDEFINED:
            return UNDEFINED
        return any(test(one, other) for one in searched for other in bases)

    return builtin


def split(text: str, delimiter: str) -> list[str]:
    """Parts between delimiters; characters if it is empty."""
    return text.split(delimiter) if delimiter else list(text)


BUILTINS = {
    "concat": concat,
    "contains": texts(lambda text, search: search in text),
    "startswith": texts(lambda text, base: text.startswith(base)),
    "endswith": texts(lambda text, base: text.endswith(base)),
    "indexof": texts(lambda text, search: text.find(search) if search else UNDEFINED),
    "indexof_n": texts(indexof_n),
    "lower": texts(lambda text: text.lower()),
    "upper": texts(lambda text: text.upper()),
    "replace": texts(replace),
    "split": texts(split),
    "substring": substring,
    "trim": texts(lambda text, cut: text.strip(cut) if cut else text),
    "trim_left": texts(lambda text, cut: text.lstrip(cut) if cut else text),
    "trim_right": texts(lambda text, cut: text.rstrip(cut) if cut else text),
    "trim_prefix": texts(lambda text, prefix: text.removeprefix(prefix)),
    "trim_suffix": texts(lambda text, suffix: text.removesuffix(suffix)),
    "trim_space": texts(lambda text: text.strip()),
    "strings.reverse": texts(lambda text: text[::-1]),
    "strings.count": texts(lambda text, search: text.count(search)),
    "strings.replace_n": replace_n,
    "strings.any_prefix_match": any_match(str.startswith),
    "strings.any_suffix_match": any_match(str.endswith),
}
