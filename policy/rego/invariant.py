"""Look-ups in a loop that find the same each time round are made once, before it; and where a loop goes on for one key
alone, that key is looked up instead.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import takewhile

from policy.rego.compiler.origins import harmless
from policy.rego.plan import (
    Block,
    Blocks,
    Dot,
    Equal,
    Function,
    Local,
    Operand,
    Scan,
    Statement,
    statements,
    with_blocks,
)


def hoisted(function: Function) -> Function:
    """An equivalent function. It must be verified, and have no breaks."""
    everything = list(statements(function.blocks))
    writes = Counter(number for one in everything for number in one.writes())
    single = {number for number, count in writes.items() if count == 1}
    return replace(function, blocks=tuple(_block(block, single) for block in function.blocks))


def _block(block: Block, single: set[int]) -> Block:
    return Block(tuple(_statement(one, single) for one in block.statements))


def _statement(statement: Statement, single: set[int]) -> Statement:
    made = with_blocks(statement, tuple(_block(one, single) for one in statement.blocks()))
    return _scan(made, single) if isinstance(made, Scan) else made


def _scan(scan: Scan, single: set[int]) -> Statement:
    """A loop, or a block of what is the same each time round and the loop. Undefined look-ups end that block, as they
    would have ended each time round.
    """
    inside = {scan.key, scan.value, *(number for one in statements((scan.block,)) for number in one.writes())}
    before = _same_each_time(scan.block, single, inside)
    rest = tuple(one for one in scan.block.statements if one not in before)
    loop = _by_key(replace(scan, block=Block(rest)), inside - {one.target for one in before})
    return Blocks(at=scan.at, inner=(Block((*before, *loop)),)) if before or len(loop) > 1 else loop[0]


def _same_each_time(block: Block, single: set[int], inside: set[int]) -> list[Dot]:
    """Look-ups at the beginning of a loop that have nothing to do with it, but for those that it looks deeper into:
    there only what it finds matters.
    """
    checks = takewhile(harmless, block.statements)
    found = [one for one in checks if isinstance(one, Dot) and one.target in single]
    everything = [one for one in statements((block,)) if isinstance(one, Dot)]
    while True:
        bound = inside - {one.target for one in found}
        deeper = [one.source for one in everything if one not in found]
        kept = [one for one in found if not _reads(one) & bound and Local(one.target) not in deeper]
        if len(kept) == len(found):
            return found
        found = kept


def _by_key(scan: Scan, inside: set[int]) -> tuple[Statement, ...]:
    """A loop whose first check is that its key is another value goes on for that one alone."""
    first, *rest = scan.block.statements or (None,)
    wanted = _other(first, scan.key) if isinstance(first, Equal) else None
    used = any(Local(scan.key) in one.reads() for one in statements((Block(tuple(s for s in rest if s)),)))
    if wanted is None or used or (isinstance(wanted, Local) and wanted.number in inside):
        return (scan,)
    found = Dot(at=scan.at, source=scan.source, key=wanted, target=scan.value)
    return (found, *(one for one in rest if one))


def _other(equal: Equal, number: int) -> Operand | None:
    """What a local is compared with."""
    sides = (equal.a, equal.b)
    if Local(number) not in sides:
        return None
    return sides[0] if sides[1] == Local(number) else sides[1]


def _reads(statement: Statement) -> set[int]:
    return {one.number for one in statement.reads() if isinstance(one, Local)}
