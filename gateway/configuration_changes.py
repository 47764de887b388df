"""What differs between two configurations, and which of it can be changed while the gateway runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from gateway.config import Config
from gateway.yaml_document import Key

_LIVE = ("services", "routes")


def changed(before: Config, after: Config) -> list[str]:
    """Keys whose values differ, dotted; a list that is longer or shorter is one. No value is told: some are secret."""
    return [".".join(map(str, key)) for key in _differing(before, after, ())]


def needs_restart(key: str) -> bool:
    """Whether a dotted key is one of those that count only from a start."""
    return key.partition(".")[0] not in _LIVE


def _differing(before: Any, after: Any, key: Key) -> Iterator[Key]:
    one, other = _children(before), _children(after)
    if one is None or other is None or (isinstance(before, tuple) and len(before) != len(after)):
        if before != after:
            yield key
        return
    for name in dict.fromkeys((*one, *other)):
        if name in one and name in other:
            yield from _differing(one[name], other[name], (*key, name))
        else:
            yield (*key, name)


def _children(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, dict):
        return value
    return dict(enumerate(value)) if isinstance(value, tuple) else None
