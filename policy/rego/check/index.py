"""Which rules a reference may reach."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain

from policy.rego.syntax.tree import Module, Ref, Rule, Scalar, Term, Var

Part = tuple[type, object] | None  # of a path; None where a variable stands


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A rule's path below `data`, and all its rules."""

    path: tuple[Part, ...]
    rules: tuple[tuple[Module, Rule], ...]

    @property
    def title(self) -> str:
        """The path as its author knows it."""
        return ".".join(("data", *("[…]" if part is None else str(part[1]) for part in self.path)))

    @property
    def arity(self) -> int | None:
        """How many arguments the function takes; None for any other rule."""
        arguments = self.rules[0][1].head.arguments
        return None if arguments is None else len(arguments)


class Index:
    """Rules by their path."""

    def __init__(self, modules: Collection[Module]):
        found: dict[tuple[Part, ...], list[tuple[Module, Rule]]] = {}
        for module in modules:
            for rule in module.rules:
                found.setdefault(whole_path(module, rule), []).append((module, rule))
        self.entries = [Entry(path, tuple(rules)) for path, rules in found.items()]
        self._exact = {entry.path: entry for entry in self.entries}
        self._below: dict[tuple[Part, ...], list[Entry]] = {}  # by each beginning of their constant paths
        self._ending: dict[tuple[Part, ...], list[Entry]] = {}  # by their constant paths
        for entry in self.entries:
            constant = _constant(entry.path)
            self._ending.setdefault(constant, []).append(entry)
            for length in range(len(constant) + 1):
                self._below.setdefault(constant[:length], []).append(entry)

    def exact(self, ref: Ref) -> Entry | None:
        """The rule at a path."""
        return self._exact.get(tuple(_part(one) for one in ref.parts)) if is_data(ref) else None

    def reached(self, ref: Ref) -> Iterator[Entry]:
        """Every rule at the path, above it or below it."""
        path = tuple(_part(one) for one in ref.parts)
        constant = _constant(path)
        above = (self._ending.get(constant[:length], ()) for length in range(len(constant)))
        found = chain(chain.from_iterable(above), self._below.get(constant, ()))
        return (entry for entry in found if _meets(path, entry.path))


def whole_path(module: Module, rule: Rule) -> tuple[Part, ...]:
    """A rule's path below `data`."""
    here: list[Part] = [(str, one) for one in (*module.package, rule.head.name)]
    return (*here, *(_part(one) for one in rule.head.parts))


def is_data(term: Term) -> bool:
    """Whether a term is a reference into `data`."""
    return isinstance(term, Ref) and isinstance(term.head, Var) and term.head.name == "data"


def _part(term: Term) -> Part:
    return (type(term.value), term.value) if isinstance(term, Scalar) else None


def _constant(path: tuple[Part, ...]) -> tuple[Part, ...]:
    """The beginning of a path, up to its first variable."""
    return path[: path.index(None)] if None in path else path


def _meets(one: tuple[Part, ...], other: tuple[Part, ...]) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=False))
