"""A whole module as data."""

from __future__ import annotations

from base64 import b64encode
from bisect import bisect_left
from itertools import islice
from typing import Any

from policy.rego.builtins.modules.nodes import Node, path
from policy.rego.builtins.modules.terms import Terms
from policy.rego.builtins.operands import octets
from policy.rego.syntax.tokens import tokens
from policy.rego.syntax.tree import Head, Import, Module, Rule, Term

_IMPLIED = {"index": 0, "generated": True, "terms": {"type": "boolean", "value": True}}


class Writer(Terms):
    """Writes one module."""

    def __init__(self, module: Module):
        super().__init__(module)
        self._module = module
        self._tokens = tokens(module.text)
        self._starts = [token.start for token in self._tokens]

    def module(self) -> Node:
        """Package, imports, rules and comments. Raises ValueError for numbers that JSON writes in another way."""
        module = self._module
        parts: dict[str, list[Any]] = {
            "imports": [self._import(one) for one in module.imports],
            "rules": [self._rule(one) for one in module.rules],
            "comments": [self._comment(*one) for one in module.comments],
        }
        package = {"path": path(["data", *module.package])["value"]}
        return {"package": package} | {name: part for name, part in parts.items() if part}

    def _import(self, found: Import) -> Node:
        return {"path": path(found.path)} | ({"alias": found.name} if self._renames(found) else {})

    def _renames(self, found: Import) -> bool:
        """Whether an import has an `as`, which stands behind the path and so behind the next space."""
        after = self._tokens[bisect_left(self._starts, found.start) + 2 :]
        return found.name != found.path[-1] or next((one.kind for one in after if one.spaced), "") == "as"

    def _comment(self, start: int, text: str) -> Node:
        file, row, column = self._module.place(start)
        return {"Location": {"file": file, "row": row, "col": column}, "Text": b64encode(octets(text[1:])).decode()}

    def _rule(self, rule: Rule) -> Node:
        repeats = rule.start > rule.head.start  # a further body of the rule before: OPA copies the head after it
        body = self.body(rule.body) if repeats else []
        head = self._head(rule)
        last = found = _branch(head, body or self.body(rule.body))
        if rule.default:
            found["default"] = True
        for other in islice(rule.branches(), 1, None):
            last["else"] = _branch(self._again(head, other.head), self.body(other.body))
            last = last["else"]
        return found

    def _again(self, first: Node, head: Head) -> Node:
        """The head of an `else`: the first branch's, with other names for `_` and with what it says itself."""
        says = _says_value(head)
        kept = {name: part for name, part in first.items() if name != "assign" or not says}
        return kept | self._arguments(head) | self._value(head)

    def _head(self, rule: Rule) -> Node:
        head = rule.head
        ref = [self.variable(head.name), *map(self.term, head.parts)]
        found: Node = {"ref": ref} | self._arguments(head)
        if _is_named(rule):
            found["name"] = head.name
        if head.contains:
            found["key"] = self.term(head.contains)
        elif _has_key(rule, ref):
            found["key"] = ref[1]
        return found | self._value(head)

    def _arguments(self, head: Head) -> Node:
        found = [self.argument(one) for one in head.arguments or []]
        return {"args": found} if found else {}

    def _value(self, head: Head) -> Node:
        if head.value is None:
            return {}
        return {"value": self.term(head.value)} | ({"assign": True} if self._assigns(head.value) else {})

    def _assigns(self, value: Term) -> bool:
        """Whether `:=` stands before a value, which may begin with parentheses."""
        before = reversed(self._tokens[: bisect_left(self._starts, value.start)])
        return next((one.kind for one in before if one.kind != "("), "") == ":="


def _branch(head: Node, body: list[Node]) -> Node:
    return {"head": head, "body": body or [_IMPLIED]}


def _is_named(rule: Rule) -> bool:
    """Whether a head's name stands besides its reference. It does for plain names, and for some of one more part."""
    head = rule.head
    if len(head.parts) != 1 or head.contains or rule.default:
        return not head.parts
    calls = head.arguments is not None
    return calls or _says_value(head) if rule.body else not calls


def _has_key(rule: Rule, ref: list[Node]) -> bool:
    """Whether the one part of a reference stands besides it."""
    head = rule.head
    if len(ref) != 2 or head.arguments is not None or rule.default:
        return False
    return not rule.body or ref[1]["type"] == "ref" or not _is_ground(ref[1])


def _says_value(head: Head) -> bool:
    return head.value is not None and head.value.start > head.start


def _is_ground(found: Any) -> bool:
    """Whether there is no variable in it, but names that references begin with."""
    if isinstance(found, list):
        return all(map(_is_ground, found))
    if not isinstance(found, dict):
        return True
    if found.get("type") == "ref":
        return _is_ground(found["value"][1:])
    return found.get("type") != "var" and all(map(_is_ground, found.values()))
