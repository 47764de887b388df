"""A policy's generated Python: the text, and all that it refers to by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policy.rego.analysis import (
    boolean,
    data_rules,
    fixed_rules,
    live,
    never_false,
    reached,
    repeated,
    set_valued,
)
from policy.rego.compiler.function import written, written_entry
from policy.rego.compiler.origins import Path, hoisted, paths_in
from policy.rego.compiler.prelude import Entry, data_prelude, entry, prelude
from policy.rego.memory import FIRST_SLOT
from policy.rego.plan import Ask, Call, Function, Plan, statements
from policy.rego.verify import DOCUMENT_ARGUMENTS


@dataclass(slots=True)
class Source:
    """Generated Python."""

    functions: list[str] = field(default_factory=list)  # the text, one Python function each
    strict: bool = False  # whether a builtin's error ends the evaluation
    constants: dict[str, Any] = field(default_factory=dict)  # composite literals by name
    builtins: dict[str, str] = field(default_factory=dict)  # Rego's name by Python's
    names: dict[str, str] = field(default_factory=dict)  # Python's name of each function of the plan
    paths: dict[tuple[str, ...], str] = field(default_factory=dict)  # rules by generation and path, for dynamic calls
    hoisted: dict[Path, int] = field(default_factory=dict)  # place in `m` of what lies at paths that many rules read
    getters: dict[Path, int] = field(default_factory=dict)  # place in `m` of `get` of what lies at a path
    of_input: list[tuple[str, Path]] = field(default_factory=list)  # "value" or "getter" in each place, in order
    of_data: list[tuple[str, Path]] = field(default_factory=list)
    slots: dict[str, int] = field(default_factory=dict)  # place in `m` of rules that are kept
    fixed: tuple[str, ...] = ()  # functions that read no document, callees first
    cached: dict[str, int] = field(default_factory=dict)  # rules that read data alone: their place in the cache
    indexes: dict[tuple[Path, str], int] = field(default_factory=dict)  # place in the cache, by path and member name
    indexed_now: int = 0  # places in `m`, after all others, of indexes that are made in one evaluation
    asked: frozenset[str] = frozenset()  # functions that are called
    booleans: frozenset[str] = frozenset()  # functions whose value is true or false, if any
    true: frozenset[str] = frozenset()  # functions whose value is never false
    sets: frozenset[str] = frozenset()  # functions whose value is a set
    reads: dict[frozenset[Path], int] = field(default_factory=dict)  # the trace's numbers, by the paths they stand for

    def index(self, path: Path, member: str) -> int:
        """Place in the cache of the elements at a path below `data`, by what a member of theirs is."""
        return self.indexes.setdefault((path, member), len(self.cached) + len(self.indexes))

    @property
    def text(self) -> str:
        """All of it."""
        return "\n\n\n".join(self.functions) + "\n"

    def slot_of_index(self) -> int:
        """A place in `m` for an index that is made in one evaluation."""
        self.indexed_now += 1
        return FIRST_SLOT + len(self.of_input) + len(self.of_data) + len(self.slots) + self.indexed_now - 1

    def read(self, paths: Iterable[Path]) -> int:
        """Number that stands for a set of paths."""
        return self.reads.setdefault(frozenset(paths), len(self.reads))


def write_source(
    plan: Plan, sources: Mapping[str, str], *, strict: bool = False, failing: frozenset[str] = frozenset()
) -> Source:
    """Write the functions of a simplified plan, and its queries. `sources` are the modules, shown beside their rules;
    `failing` names rules that have no value although they read no document.
    """
    source = Source(strict=strict)
    everything = (*plan.functions.values(), *plan.queries.values())
    for function in everything:
        _name(source, function)
    source.fixed = tuple(name for name in fixed_rules(plan) if name not in failing)
    source.booleans = frozenset(name for name, function in plan.functions.items() if boolean(function))
    source.true = frozenset(name for name, function in plan.functions.items() if never_false(function))
    source.sets = frozenset(name for name, function in plan.functions.items() if set_valued(function))
    source.cached = {name: index for index, name in enumerate(data_rules(plan, source.fixed))}
    callers = live(plan)
    everywhere = statements(tuple(b for one in (*callers.values(), *plan.queries.values()) for b in one.blocks))
    source.asked = frozenset(one.func for one in everywhere if isinstance(one, (Ask, Call)))
    values, looked_into = hoisted((*callers.values(), *plan.queries.values()))
    places = [*(("getter", path) for path in looked_into), *(("value", path) for path in values)]
    source.of_input = [(kind, path) for kind, path in places if path[0] == "input"]
    source.of_data = [(kind, path) for kind, path in places if path[0] == "data"]
    for slot, (kind, path) in enumerate((*source.of_input, *source.of_data), FIRST_SLOT):
        (source.getters if kind == "getter" else source.hoisted)[path] = slot
    first = FIRST_SLOT + len(places)
    kept = dict.fromkeys((*repeated(plan, source.fixed), *source.cached))
    source.slots = {name: slot for slot, name in enumerate(kept, first)}
    written_functions = [written(plan, function, source, sources) for function in everything]
    entries = [_entry(plan, query, source, sources) for query in plan.queries.values()]
    source.functions = [data_prelude(source), prelude(source), *written_functions, *entries]
    return source


def _entry(plan: Plan, query: Function, source: Source, sources: Mapping[str, str]) -> str:
    """The function behind an entry point is the rule itself where there is one, which saves making a result set."""
    rule = "g0.data." + query.name.replace("/", ".")
    name = f"entry_{source.names[query.name]}"
    if rule in source.fixed:
        return entry(name, f"fixed_{source.names[rule]}")
    if rule in source.cached:
        return entry(name, f"cached({source.cached[rule]}, {source.names[rule]}, input, data, {{memory}})")
    if rule not in plan.functions:
        return entry(name, f"first({source.names[query.name]}(input, data, {{memory}}))")
    function = plan.functions[rule]
    others = reached(plan, [function]).values()
    start = Entry(source, paths_in([function, *others]), paths_in(others))
    return written_entry(plan, function, source, sources, start, name)


def _name(source: Source, function: Function) -> None:
    source.names[function.name] = _fresh(function.name, source.names.values())
    if function.path and len(function.params) == DOCUMENT_ARGUMENTS:
        source.paths[function.path] = source.names[function.name]


def _fresh(name: str, taken: Any) -> str:
    python = re.sub(r"\W", "_", name.removeprefix("g0.data."), flags=re.ASCII)
    python = f"rule_{python}"
    while python in taken:
        python += "_"
    return python
