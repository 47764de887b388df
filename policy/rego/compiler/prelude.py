"""The function that makes an evaluation's memory, and reads at once the document paths that many rules read."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from policy.rego.compiler.expressions import looked_up
from policy.rego.compiler.origins import Path

if TYPE_CHECKING:
    from policy.rego.compiler.source import Source

_PARAMETERS = "input, data, now, trace, scratch, steps, budget, cache"


def prelude(name: str, source: Source, wanted: Collection[Path]) -> str:
    """Python of a function that makes a memory, with those of the hoisted paths that are wanted."""
    lines = [f"def {name}({_PARAMETERS}):"]
    held: dict[Path, str] = {("input",): "input", ("data",): "data"}
    for path in sorted(path for path in source.hoisted if path in wanted):
        _read(path, held, lines)
    first = [held.get(path, "None") for path in source.hoisted]
    items = ["now", "trace", "scratch", "steps", "budget", "cache", *first, *("W" for _ in source.slots)]
    return "\n".join((*lines, f"    return [{', '.join(items)}]"))


def _read(path: Path, held: dict[Path, str], lines: list[str]) -> str:
    if path not in held:
        above = _read(path[:-1], held, lines)
        held[path] = f"p{len(held)}"
        lines.append(f"    {held[path]} = {looked_up(above, path[-1])}")
    return held[path]
