"""Bodies that begin alike become one that begins so and then goes on in each way: what they share is done once.

The order of a rule's bodies has no meaning, so bodies that are not neighbours are merged too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from policy.rego.compiler.origins import continues
from policy.rego.plan import (
    Block,
    Blocks,
    Call,
    Dot,
    Equal,
    Function,
    IsType,
    IsUndefined,
    Len,
    NotEqual,
    Place,
    Scan,
    Statement,
    statements,
)
from policy.rego.rename import relocated

MAX_DEPTH = 6  # of blocks in one another that merging may make
_SHARED = (Dot, Len, Call, Equal, NotEqual, IsType)  # what can be done once for several bodies
_Body = tuple[Statement, ...]


def merged(function: Function) -> Function:
    """An equivalent function. A local must be written in one body, unless the bodies build it up together. There
    are no breaks.
    """
    everything = list(statements(function.blocks))
    if any(isinstance(one, IsUndefined) for one in everything):
        return function  # bodies in order
    bodies = [_bare(block) for block in function.blocks]
    return replace(function, blocks=tuple(map(Block, _merged(bodies, MAX_DEPTH))))


def _bare(block: Block) -> _Body:
    """A body without a block around it."""
    held = block.statements
    while len(held) == 1 and isinstance(only := held[0], Blocks) and len(only.inner) == 1:
        held = only.inner[0].statements
    return held


def _merged(bodies: Sequence[_Body], depth: int) -> list[_Body]:
    groups: dict[Any, list[_Body]] = {}
    for number, body in enumerate(bodies):
        groups.setdefault(_sign(body[0] if body and depth else None) or number, []).append(body)
    return [body for group in groups.values() for body in (_joined(group, depth) if len(group) > 1 else group)]


def _sign(statement: Statement | None) -> str | None:
    """What a statement does, whatever it calls its results; None if it cannot be shared."""
    if isinstance(statement, Scan):
        return repr((Scan, statement.source))
    if not isinstance(statement, _SHARED):
        return None
    held = (field.name for field in fields(statement) if field.name not in ("at", *statement.WRITES))
    return repr((type(statement), *(getattr(statement, name) for name in held)))


def _joined(group: Sequence[_Body], depth: int) -> Sequence[_Body]:
    first = group[0][0]
    bodies = [relocated(body, _names(body[0], first)) for body in group]
    rests = [body[1:] for body in bodies]
    if isinstance(first, Scan):
        if any(rests):
            return group
        inner = _merged([body[0].blocks()[0].statements for body in bodies], depth - 1)
        return [(replace(first, block=Block(_one(inner))),)]
    left = [rest for rest in rests if rest]
    parting = len({_sign(rest[0]) for rest in left}) > 1
    found = _merged(left, depth - parting)
    if isinstance(first, Dot) and len(found) > 1 and any(continues(body, 0) for body in bodies):
        return _apart(group, depth)  # each looks deeper into it, elsewhere: what it is as a whole matters to none
    return [(first, *_one(found))]


def _apart(bodies: Sequence[_Body], depth: int) -> Sequence[_Body]:
    """Bodies that share a first look-up, joined only where they also go on alike."""
    groups: dict[Any, list[_Body]] = {}
    for number, body in enumerate(bodies):
        groups.setdefault(_sign(body[1] if len(body) > 1 else None) or number, []).append(body)
    joining = [_joined(group, depth) if 1 < len(group) < len(bodies) else group for group in groups.values()]
    return [body for group in joining for body in group]


def _several(group: Sequence[_Body]) -> _Body:
    return (Blocks(inner=tuple(map(Block, group)), at=Place()),)


def _one(bodies: Sequence[_Body]) -> _Body:
    return bodies[0] if len(bodies) == 1 else _several(bodies) if bodies else ()


def _names(statement: Statement, like: Statement) -> dict[int, int]:
    """Which locals of a statement stand for those of another one that does the same."""
    if isinstance(statement, Scan) and isinstance(like, Scan):
        return {statement.key: like.key, statement.value: like.value}
    return dict(zip(statement.writes(), like.writes(), strict=True))
