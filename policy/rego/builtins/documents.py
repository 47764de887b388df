"""JSON documents: reading and writing them, and keeping or removing what is at a path."""

from __future__ import annotations

import json
from typing import Any

from policy.rego.values import UNDEFINED, RegoSet, key, to_python


def plain(value: Any) -> Any:
    """Like `to_python`, with whole numbers written without a fraction, as OPA does."""
    return _whole(to_python(value))


def _whole(value: Any) -> Any:
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is dict:
        return {item: _whole(held) for item, held in value.items()}
    return [_whole(held) for held in value] if type(value) is list else value


def marshal(value: Any) -> str:
    """JSON text, keys in order, no spaces; `<`, `>` and `&` escaped as Go does."""
    text = json.dumps(plain(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def unmarshal(text: Any) -> Any:
    """Value of JSON text."""
    if type(text) is not str:
        return UNDEFINED
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return UNDEFINED


def is_valid(text: Any) -> Any:
    """Whether it is JSON."""
    return unmarshal(text) is not UNDEFINED


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise ValueError(f"{text} is too large")
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _paths(value: Any) -> Any:
    """Paths as tuples of keys: each an array, or text with `/` between and `~0`, `~1` for `~` and `/`."""
    if type(value) not in (list, RegoSet):
        return UNDEFINED
    paths = []
    for one in value:
        if type(one) is str:
            steps: Any = [step.replace("~1", "/").replace("~0", "~") for step in one.strip("/").split("/")]
        elif type(one) is list:
            steps = one
        else:
            return UNDEFINED
        paths.append(tuple(steps))
    return paths


def _index(value: list[Any], step: Any) -> int:
    text = str(step) if type(step) in (int, str) else ""
    return int(text) if text.isdecimal() and int(text) < len(value) else -1


def remove(source: Any, paths: Any) -> Any:
    """`json.remove`: the document less what is at the paths."""
    chosen = _paths(paths)
    if type(source) is not dict or chosen is UNDEFINED:
        return UNDEFINED
    return _removed(source, [path for path in chosen if path])


def _removed(value: Any, paths: list[tuple[Any, ...]]) -> Any:
    def rest(match: Any) -> list[tuple[Any, ...]]:
        return [path[1:] for path in paths if match(path[0])]

    if type(value) is dict:
        kept = {item: (held, rest(lambda step, item=item: key(step) == item)) for item, held in value.items()}
        return {item: _removed(held, inner) for item, (held, inner) in kept.items() if () not in inner}
    if type(value) is list:
        found = [(held, rest(lambda step, at=at: _index(value, step) == at)) for at, held in enumerate(value)]
        return [_removed(held, inner) for held, inner in found if () not in inner]
    return value


def keep(source: Any, paths: Any) -> Any:
    """`json.filter`: only what is at the paths."""
    chosen = _paths(paths)
    if type(source) is not dict or chosen is UNDEFINED:
        return UNDEFINED
    return _kept(source, chosen) if chosen else {}


def _kept(value: Any, paths: list[tuple[Any, ...]]) -> Any:
    if () in paths:
        return value

    def rest(match: Any) -> list[tuple[Any, ...]]:
        return [path[1:] for path in paths if match(path[0])]

    if type(value) is dict:
        inside = {item: rest(lambda step, item=item: str(step) == str(item)) for item in value}
        found = {item: _kept(value[item], inner) for item, inner in inside.items() if inner}
        return {item: held for item, held in found.items() if held is not UNDEFINED}
    if type(value) is list:
        kept = [_kept(held, inner) for at, held in enumerate(value) if (inner := _at(rest, value, at))]
        return [held for held in kept if held is not UNDEFINED]
    return UNDEFINED


def _at(rest: Any, value: list[Any], at: int) -> list[tuple[Any, ...]]:
    return rest(lambda step: _index(value, step) == at)  # type: ignore[no-any-return]


BUILTINS = {
    "json.marshal": marshal,
    "json.unmarshal": unmarshal,
    "json.is_valid": is_valid,
    "json.remove": remove,
    "json.filter": keep,
}
