"""Random changes of documents, and whether a change leaves alone what an answer depended on."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

from policy.rego.reading import Path
from policy.rego.values import UNDEFINED, dot

VALUES: tuple[Any, ...] = (None, True, False, 0, 1, 2.5, "", "high", "active", "a", [], {}, ["a"], {"a": 1}, "teller")
Documents = dict[str, Any]  # "input" and "data"


def found(documents: Documents, path: Path) -> Any:
    """What lies at a path that was read, as policy finds it."""
    value = documents[path[0]]
    for part in path[1:]:
        value = dot(value, part)
    return value


def identical(a: Any, b: Any) -> bool:
    """Whether two values are the same to a policy: equal, and of one kind."""
    if a is UNDEFINED or b is UNDEFINED:
        return a is b
    return repr(a) == repr(b)


def unaffected(before: Documents, after: Documents, paths: Iterable[Path]) -> bool:
    """Whether a change left what lies at all these paths as it was."""
    of_documents = [path for path in paths if path[0] in before]
    return all(identical(found(before, path), found(after, path)) for path in of_documents)


def changed(documents: Documents, chance: random.Random, paths: Iterable[Path]) -> Documents:
    """A copy with one change somewhere, as often as not near what was read: a value replaced, added or taken away."""
    near = [path for path in paths if path[0] in documents and len(path) > 1]
    where = chance.choice(near)[:-1] if near and chance.random() < 0.5 else (chance.choice(list(documents)),)
    root = where[0]
    if documents[root] is UNDEFINED:
        return documents
    return {**documents, root: _replaced(documents[root], list(where[1:]), chance)}


def _replaced(value: Any, path: list[Any], chance: random.Random) -> Any:
    """A copy of a value with something below the path changed."""
    keys = list(_keys(value))
    if not keys or (not path and chance.random() < 0.2):
        return chance.choice(VALUES)
    key = path[0] if path and path[0] in keys else chance.choice(keys)
    made: Any = dict(value) if type(value) is dict else list(value)
    kind = chance.randrange(3)
    if path or kind == 0:
        made[key] = _replaced(made[key], path[1:], chance)
    elif kind == 1 and type(made) is dict:
        made[chance.choice(("a", "status", "new", "kind", "limit"))] = chance.choice(VALUES)
    elif kind == 1:
        made.append(chance.choice(VALUES))
    else:
        del made[key]
    return made


def _keys(value: Any) -> Iterator[Any]:
    if type(value) is dict:
        yield from value
    elif type(value) is list:
        yield from range(len(value))
