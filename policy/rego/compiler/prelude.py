"""The function that makes an evaluation's memory, and does at once the look-ups that many rules need."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from policy.rego.compiler.expressions import looked_up
from policy.rego.compiler.origins import Path

if TYPE_CHECKING:
    from policy.rego.compiler.source import Source

_PARAMETERS = "input, data, now, trace, scratch, steps, budget, cache"


def prelude(name: str, source: Source, wanted: Collection[Path]) -> str:
    """Python of a function that makes a memory, with those of the hoisted look-ups that are wanted."""
    writer = _Prelude()
    for path in sorted(path for path in source.getters if path in wanted):
        writer.getter(path)
    for path in sorted(path for path in source.hoisted if path in wanted):
        writer.value(path)
    items = ["now", "trace", "scratch", "steps", "budget", "cache"]
    items += [writer.values.get(path, "None") for path in source.hoisted]
    items += [writer.getters.get(path, "None") for path in source.getters]
    return "\n".join((f"def {name}({_PARAMETERS}):", *writer.lines, f"    return [{', '.join(items)}, *WAITING]"))


class _Prelude:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.values: dict[Path, str] = {("input",): "input", ("data",): "data"}
        self.getters: dict[Path, str] = {}

    def value(self, path: Path) -> str:
        """The name of what lies at a path."""
        if path not in self.values:
            above, key = path[:-1], path[-1]
            got = above in self.getters and type(key) is str
            found = f"{self.getters[above]}({key!r}, U)" if got else looked_up(self.value(above), key)
            self.values[path] = self._named("p", found)
        return self.values[path]

    def getter(self, path: Path) -> str:
        """The name of `get` of what lies at a path."""
        if path not in self.getters:
            name = self.value(path)
            self.getters[path] = self._named("g", f"{name}.get if type({name}) is dict else getter({name})")
        return self.getters[path]

    def _named(self, kind: str, value: str) -> str:
        name = f"{kind}{len(self.lines)}"
        self.lines.append(f"    {name} = {value}")
        return name
