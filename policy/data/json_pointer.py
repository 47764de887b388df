"""JSON pointers (RFC 6901), and the paths that they stand for."""

from __future__ import annotations

import re
from typing import Any

from policy.rego.values import UNDEFINED

Path = tuple[str, ...]

_ESCAPED = re.compile(r"~(?![01])")


def path_of(pointer: str) -> Path:
    """The steps of a JSON pointer. Raises ValueError."""
    if pointer and not pointer.startswith("/"):
        raise ValueError("a JSON pointer starts with /")
    if _ESCAPED.search(pointer):
        raise ValueError("in a JSON pointer, ~ is written ~0 and / is written ~1")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def pointer_to(path: Path) -> str:
    """The JSON pointer of these steps."""
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in path)


def at(value: Any, path: Path) -> Any:
    """The value at a path of member names and array indexes, or UNDEFINED."""
    for step in path:
        if type(value) is list:
            place = index(step, len(value))
            value = UNDEFINED if place is None else value[place]
        else:
            value = value.get(step, UNDEFINED) if type(value) is dict else UNDEFINED
    return value


def first_array(value: Any, path: Path) -> int | None:
    """How many steps lead to the first array on a path that exists, its end included; None if there is none."""
    for depth, step in enumerate(path):
        if type(value) is list:
            return depth
        value = value[step]
    return len(path) if type(value) is list else None


def index(step: str, length: int) -> int | None:
    """The place below `length` that a step names (RFC 6901: digits, no leading zero), or None."""
    if not step.isascii() or not step.isdigit() or len(step) > len(str(length)) or (step[0] == "0" and step != "0"):
        return None
    return int(step) if int(step) < length else None
