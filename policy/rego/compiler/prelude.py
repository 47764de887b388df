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
    memory = f"[{', '.join(('now', 'trace', 'scratch', 'steps', 'budget', 'cache', *items))}, *found, *WAITING]"
    head = "def memory(input, data, now, trace, scratch, steps, budget, cache):"
    return "\n".join((head, *_FOUND, *writer.lines, f"    return {memory}"))


def entry(name: str, call: str) -> str:
    """Python of the function behind an entry point that is no rule of its own: its value, and the trace of what was
    read.
    """
    memory = "memory(input, data, now, t, None, STEPS, LIMITS, cache)"
    return "\n".join(
        (f"def {name}(input, data, now, cache):", "    t = []", f"    return {call.format(memory=memory)}, t")
    )


class Entry:
    """The beginning of the function behind an entry point. It looks up at once what it may need of the documents, in
    locals for itself and in a memory for the rules that it calls.
    """

    def __init__(self, source: Source, wanted: Collection[Path], shared: Collection[Path]):
        """`wanted`: what it or a rule that it calls reads; `shared`: what such a rule does."""
        writer = _Prelude()
        of_input = [writer.place(*one) if one[1] in wanted else "None" for one in source.of_input]
        of_data = [f"d{number}" for number in range(len(source.of_data))]
        self.names = dict(zip((*source.of_input, *source.of_data), (*of_input, *of_data), strict=True))
        given = [name if path in shared else "None" for (_, path), name in zip(source.of_input, of_input, strict=True)]
        memory = ", ".join(("now", "t", "None", "STEPS", "LIMITS", "cache", *given, "*found", "*WAITING"))
        unpacked = [f"    {', '.join((*of_data, ''))}= found"] if of_data else []
        self.lines = [*_FOUND, *unpacked, *writer.lines, "    t = []", f"    m = [{memory}]"]


_FOUND = (
    "    found = cache[-1] if cache is not None else of_data(data)",
    "    if found is None:",
    "        found = cache[-1] = of_data(data)",
)


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
