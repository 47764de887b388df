"""Which path of `input` or `data` a local holds: `("data", "accounts", Local(7), "owner")`.

Only locals that are given a value in one place have an origin. A part is a key known now, or the local that holds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from policy.rego.plan import (
    DATA,
    INPUT,
    Block,
    Call,
    CallDynamic,
    Constant,
    Dot,
    Equal,
    Function,
    IsDefined,
    IsType,
    IsUndefined,
    Len,
    Local,
    NotEqual,
    Operand,
    Place,
    ResetLocal,
    Scan,
    Statement,
    With,
    statements,
)

Path = tuple[Any, ...]
_PURE = (Dot, Call, CallDynamic, Equal, NotEqual, Len, IsType, IsDefined, IsUndefined)
_CHECKS = (Dot, Equal, NotEqual, IsType)
_COMPARISONS = frozenset({"equal", "neq", "lt", "lte", "gt", "gte"})
MAX_HOISTED = 24
WORTH_HOISTING = 3  # places that read a path


def static(path: Path) -> bool:
    """Whether all parts are known now."""
    return not any(isinstance(part, Local) for part in path)


def origins(function: Function) -> dict[int, Path]:
    """Path that each local of a function holds, where it holds one."""
    single = {local for local, count in _writes(function).items() if count == 1}
    keys = single | _settled(function)
    found: dict[int, Path] = {INPUT: ("input",), DATA: ("data",)}
    for statement in statements(function.blocks):
        if isinstance(statement, Dot) and statement.target in single:
            above = found.get(statement.source.number) if isinstance(statement.source, Local) else None
            part = _part(statement.key, keys)
            if above is not None and part is not None:
                found[statement.target] = (*above, part)
    return found


def _settled(function: Function) -> set[int]:
    """Locals that several statements give a value, all before any of the look-ups by it: what a rule gave that stands
    here. The look-ups find it as it was when they report it.
    """
    written: dict[int, int] = {}
    loops: dict[int, tuple[int, ...]] = {}
    used: dict[int, int] = {}
    unsettled = {INPUT, DATA}
    for at, (statement, around) in enumerate(_with_loops(function.blocks)):
        if isinstance(statement, Dot) and isinstance(statement.key, Local):
            number = statement.key.number
            used.setdefault(number, at)
            if around[: len(loops.get(number, ()))] != loops.get(number, ()):
                unsettled.add(number)
        elif isinstance(statement, With):
            unsettled.add(statement.local)
        for number in (*statement.writes(), *([statement.target] if isinstance(statement, ResetLocal) else ())):
            written[number] = at
            loops[number] = max(around, loops.get(number, ()), key=len)
    return {one for one in used if written.get(one, -1) < used[one]} - unsettled


def _with_loops(blocks: Iterable[Block], around: tuple[int, ...] = ()) -> Iterator[tuple[Statement, tuple[int, ...]]]:
    """Every statement, and the loops that it is in, outermost first."""
    for block in blocks:
        for statement in block.statements:
            yield statement, around
            inside = (*around, id(statement)) if isinstance(statement, Scan) else around
            yield from _with_loops(statement.blocks(), inside)


def _part(key: Operand, settled: set[int]) -> Any:
    if isinstance(key, Local):
        return key if key.number in settled else None
    plain = type(key.value) is str or (type(key.value) is int and key.value >= 0)
    return key.value if plain else None


def _writes(function: Function) -> Counter[int]:
    writes: Counter[int] = Counter(function.params[2:])
    for statement in statements(function.blocks):
        writes.update(statement.writes())
        match statement:
            case Scan(key=key, value=value):
                writes.update((key, value))
            case ResetLocal(target=target):
                writes[target] += 2
            case With(local=changed):
                writes[changed] += 2
    return writes


def continues(block: Sequence[Statement], at: int) -> bool:
    """Whether what a look-up finds is looked into further on in its block, with nothing between that would have an
    effect: then only what is found there matters, or that there was nothing to look into.
    """
    target = Local(block[at].target)  # type: ignore[attr-defined]
    for statement in block[at + 1 :]:
        if isinstance(statement, Dot) and statement.source == target and statement.key != target:
            return True
        if not isinstance(statement, _PURE):
            return False
    return False


def static_reads(block: Block, found: Mapping[int, Path]) -> set[Path]:
    """Paths known now that are read somewhere in a block."""
    paths: set[Path] = set()
    held = block.statements
    for at, statement in enumerate(held):
        if isinstance(statement, Dot) and not continues(held, at):
            path = found.get(statement.target)
            if path is not None and static(path):
                paths.add(path)
        for inner in statement.blocks():
            paths |= static_reads(inner, found)
    return paths


def filtered(scan: Scan) -> tuple[str, Operand] | None:
    """A member of each element that a loop compares before it does anything else, and with what, if that is the same
    each time round.
    """
    inside = {scan.key, scan.value, *(number for one in statements((scan.block,)) for number in one.writes())}
    members: dict[int, str] = {}
    for statement in takewhile(harmless, scan.block.statements):
        match statement:
            case Dot(source=Local(number), key=Constant(value=str(member)), target=target) if number == scan.value:
                members[target] = member
            case Equal(a=Local(number), b=other) | Equal(a=other, b=Local(number)) if number in members:
                if not (isinstance(other, Local) and other.number in inside):
                    return members[number], other
    return None


def harmless(statement: Statement) -> bool:
    """Whether a statement can do no more than end its block."""
    if isinstance(statement, Call):
        return statement.func in _COMPARISONS
    return isinstance(statement, _CHECKS)


def hoisted(functions: Iterable[Function]) -> tuple[list[Path], list[Path]]:
    """What is worth doing once, at the start: paths known now whose value many places read, and paths in which several
    places look something up.
    """
    reads: set[tuple[Path, Place]] = set()  # what a policy says in one place counts once, wherever that is inlined
    for function in functions:
        found = origins(function)
        for statement in statements(function.blocks):
            if isinstance(statement, Dot) and (path := found.get(statement.target)) and static(path[:-1]):
                reads.add((path, statement.at))
    read = Counter(path for path, _ in reads if static(path))
    sources = Counter((path[:-1], path) for path, _ in reads)
    values = [path for path, count in read.most_common(MAX_HOISTED) if count >= WORTH_HOISTING]
    looked_into: Counter[Path] = Counter()
    for (source, path), count in sources.items():
        looked_into[source] += 0 if path in values else count
    for source in {source for source, path in sources if type(path[-1]) is int}:
        del looked_into[source]  # an array
    return values, [path for path, count in looked_into.most_common(MAX_HOISTED) if count > 1]


def paths_in(functions: Iterable[Function]) -> set[Path]:
    """Paths known now that functions read."""
    return {path for function in functions for path in origins(function).values() if static(path)}
