"""The function that makes an evaluation's memory, and does at once the look-ups that many rules need."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from policy.rego.compiler.expressions import looked_up
from policy.rego.compiler.origins import Path

if TYPE_CHECKING:
    from policy.rego.compiler.source import Source


def data_prelude(source: Source) -> str:
    """Python of the function that does what can be done at once with `data`, for every evaluation until it changes."""
    writer = _Prelude()
    items = [writer.place(kind, path) for kind, path in source.of_data]
    return "\n".join(("def of_data(data):", *writer.lines, f"    return ({''.join(f'{item}, ' for item in items)})"))


def prelude(source: Source) -> str:
    """Python of the function that makes a memory, for whatever is evaluated with it."""
    writer = _Prelude()
    items = [writer.place(kind, path) for kind, path in source.of_input]
    memory = _memory(("now", "trace", "scratch", "steps", "budget", "cache"), items)
    head = "def memory(input, data, now, trace, scratch, steps, budget, cache):"
    return "\n".join((head, _FOUND, *writer.lines, f"    return {memory}"))


def entry(name: str, call: str, source: Source, wanted: Collection[Path]) -> str:
    """Python of the function behind an entry point: its value, and the trace of what was read. It looks up at once
    only what it may need of `input`.
    """
    writer = _Prelude()
    items = [writer.place(kind, path) if path in wanted else "None" for kind, path in source.of_input]
    memory = _memory(("now", "t", "None", "STEPS", "LIMITS", "cache"), items)
    head = f"def {name}(input, data, now, cache):"
    return "\n".join((head, _FOUND, *writer.lines, "    t = []", f"    return {call.format(memory=memory)}, t"))


def _memory(first: tuple[str, ...], items: list[str]) -> str:
    return f"[{', '.join((*first, *items))}, *found, *WAITING]"


_FOUND = """    found = cache[-1] if cache is not None else of_data(data)
    if found is None:
        found = cache[-1] = of_data(data)"""


class _Prelude:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.values: dict[Path, str] = {("input",): "input", ("data",): "data"}
        self.getters: dict[Path, str] = {}

    def place(self, kind: str, path: Path) -> str:
        """The name of what a place of the memory holds."""
        return self.getter(path) if kind == "getter" else self.value(path)

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
