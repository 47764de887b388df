"""JSON documents: reading and writing them, and keeping or removing what is at a path."""

from __future__ import annotations

from typing import Any

from policy.rego.builtins import patches, paths
from policy.rego.json_text import decode, encode, valid
from policy.rego.values import UNDEFINED, RegoSet, unkey

_OPTIONS = {"prefix": str, "indent": str, "pretty": bool}


def marshal(value: Any) -> Any:
    """JSON text, keys in order, no spaces."""
    try:
        return encode(value)
    except ValueError:
        return UNDEFINED


def marshal_with_options(value: Any, options: Any) -> Any:
    """JSON text, on lines with a prefix and an indent if they are given or if it is to be `pretty`."""
    if type(options) is not dict or any(type(held) is not _OPTIONS.get(name) for name, held in options.items()):
        return UNDEFINED
    if not options.get("pretty", bool(options)):
        return marshal(value)
    prefix = options.get("prefix", "")
    try:
        return prefix + encode(value, prefix, options.get("indent", "\t"))
    except ValueError:
        return UNDEFINED


def unmarshal(text: Any) -> Any:
    """Value of JSON text."""
    if type(text) is not str:
        return UNDEFINED
    try:
        return decode(text)
    except ValueError:
        return UNDEFINED


def is_valid(text: Any) -> bool:
    """Whether it is JSON, with numbers of any size."""
    return type(text) is str and valid(text)


def remove(source: Any, chosen: Any) -> Any:
    """`json.remove`: the document less what is at the paths."""
    found = paths.tree(chosen)
    return UNDEFINED if type(source) is not dict or found is UNDEFINED else _removed(source, found)


def _removed(value: Any, found: dict[Any, Any] | None) -> Any:
    if not found:
        return UNDEFINED if found is None else value
    if type(value) is dict:
        return {item: left for item, held in value.items() if (left := _less(held, found, item)) is not UNDEFINED}
    if type(value) is list:
        rest = (_less(held, found, str(at)) for at, held in enumerate(value))
        return [left for left in rest if left is not UNDEFINED]
    if type(value) is RegoSet:
        rest = (_less(unkey(item), found, item) for item in value.keys)
        return RegoSet(left for left in rest if left is not UNDEFINED)
    return value


def _less(held: Any, found: dict[Any, Any], item: Any) -> Any:
    return _removed(held, found[item]) if item in found else held


def keep(source: Any, chosen: Any) -> Any:
    """`json.filter`: only what is at the paths."""
    found = paths.tree(chosen)
    return UNDEFINED if type(source) is not dict or found is UNDEFINED else _kept(source, found)


def _kept(value: Any, found: dict[Any, Any] | None) -> Any:
    if found is None:
        return value
    if type(value) is dict:
        return {item: _kept(held, found[item]) for item, held in value.items() if item in found}
    if type(value) is list:
        return [_kept(held, found[str(at)]) for at, held in enumerate(value) if str(at) in found]
    if type(value) is RegoSet:
        return RegoSet(_kept(unkey(item), found[item]) for item in value.keys if item in found)
    return value


BUILTINS = {
    "json.marshal": marshal,
    "json.marshal_with_options": marshal_with_options,
    "json.unmarshal": unmarshal,
    "json.is_valid": is_valid,
    "json.remove": remove,
    "json.filter": keep,
    **patches.BUILTINS,
}
