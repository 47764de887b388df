"""Rules that cannot stand beside one another: of one name and different kinds, or one inside another."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from policy.rego.syntax.tree import Module, Rule, Scalar

Part = tuple[type, object]
Found = tuple[Module, Rule]


@dataclass(slots=True)
class Node:
    """Rules whose constant path ends here, and those below."""

    rules: list[Found] = field(default_factory=list)
    below: dict[Part, Node] = field(default_factory=dict)

    def all(self) -> Iterator[Found]:
        """Rules here and below."""
        yield from self.rules
        for one in self.below.values():
            yield from one.all()


def title(module: Module, rule: Rule) -> str:
    """A rule as its author knows it: `data.bank.access.deny`."""
    return ".".join(("data", *module.package, rule.head.name))


def path(module: Module, rule: Rule) -> list[Part]:
    """The constant beginning of a rule's path, below `data`."""
    found: list[Part] = [(str, one) for one in (*module.package, rule.head.name)]
    for one in rule.head.parts:
        if not isinstance(one, Scalar):
            break
        found.append((type(one.value), one.value))
    return found


def conflicts(modules: Collection[Module]) -> Iterator[tuple[Module, int, str]]:
    """Every conflict, at one of its rules."""
    root = Node()
    for module in modules:
        for rule in module.rules:
            node = root
            for part in path(module, rule):
                node = node.below.setdefault(part, Node())
            node.rules.append((module, rule))
    yield from _inside(root)
    yield from _packages(modules)


def _inside(root: Node) -> Iterator[tuple[Module, int, str]]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.below.values())
        if node.rules and (fault := _fault(node)):
            (module, rule), message = fault
            yield module, rule.start, message


def _fault(node: Node) -> tuple[Found, str] | None:
    name = title(*node.rules[0])
    other = _other_kind(node)
    if other:
        kinds = f"{_kind(node.rules[0][1])}, and {_kind(other[1])}"
        return other, f"conflicting rules: {name} is {kinds}: give one of them another name"
    below = [found for one in node.below.values() for found in one.all()]
    if any(_is_open(rule) for _, rule in node.rules):
        below = [found for found in below if found[1].head.arguments is not None]
    if below:
        return below[0], f"conflicting rules: this one is inside of {name}, which has a value of its own"
    defaults = [found for found in node.rules if found[1].default]
    if len(defaults) > 1:
        return defaults[1], f"{name} has a default already: take one of them out"
    return None


def _other_kind(node: Node) -> Found | None:
    """The first rule that is not of the kind of the first."""
    first = _shape(node.rules[0][1])
    return next((found for found in node.rules if _shape(found[1]) != first), None)


def _shape(rule: Rule) -> tuple[bool, bool, int]:
    return (
        rule.head.contains is not None,
        _is_open(rule),
        -1 if rule.head.arguments is None else len(rule.head.arguments),
    )


def _is_open(rule: Rule) -> bool:
    """Whether there is a variable in the rule's path."""
    return not all(isinstance(one, Scalar) for one in rule.head.parts)


def _kind(rule: Rule) -> str:
    arguments = rule.head.arguments
    if arguments is not None:
        return f"a function of {len(arguments)}"
    if rule.head.contains is not None:
        return "a set"
    return "an object" if _is_open(rule) else "one value"


def _packages(modules: Collection[Module]) -> Iterator[tuple[Module, int, str]]:
    """Rules that are where a package is."""
    packages: dict[tuple[Part, ...], Module] = {
        tuple((str, part) for part in module.package): module for module in modules
    }
    for module in modules:
        for rule in module.rules:
            here = tuple(path(module, rule))
            if not _is_open(rule) and here in packages:
                name = ".".join(packages[here].package)
                yield module, rule.start, f"this rule is where package {name} is: rename one of them"
