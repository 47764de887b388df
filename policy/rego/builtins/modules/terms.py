"""Terms and bodies as data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, zip_longest
from typing import Any

from policy.rego.builtins.modules.nodes import Node, node, path, scalar
from policy.rego.builtins.modules.order import sorted_pairs, sorted_terms
from policy.rego.syntax.tree import (
    Array,
    Assign,
    Builtin,
    Call,
    Comprehension,
    Every,
    Expr,
    Module,
    Object,
    Ref,
    Scalar,
    Set,
    Some,
    SomeIn,
    Template,
    Term,
    Unify,
    Var,
    With,
)

_NOT = (("future", "keywords"), ("future", "keywords", "not"))
_ROOTS = ("data", "input")  # alone, they are references


class Terms:
    """Writes terms of one module."""

    def __init__(self, module: Module):
        self._text = module.text
        self._imported = min((one.start for one in module.imports if one.path in _NOT), default=len(module.text))
        self._wildcards: dict[str, str] = {}
        self._count = count()

    def body(self, body: Sequence[Expr]) -> list[Node]:
        """Expressions one after another."""
        return [self._expression(one, index) for index, one in enumerate(body)]

    def _expression(self, found: Expr, index: int = 0) -> Node:
        written: Node = {"index": index, "terms": self._said(found.what)}
        if found.negated:
            written |= self._negation(found, written["terms"])
        if found.withs:
            written["with"] = [self._with(one) for one in found.withs]
        return written

    def _negation(self, found: Expr, terms: Any) -> Node:
        """`not` is a mark of an expression; behind `import future.keywords.not`, it is a body of its own."""
        if found.start < self._imported:
            return {"negated": True}
        return {"terms": {"type": "not", "body": [{"index": 0, "terms": terms}], "explicit_body": False}}

    def _with(self, found: With) -> Node:
        return {"target": self.term(found.target), "value": self.term(found.value)}

    def _said(self, what: Any) -> Any:
        match what:
            case Assign(left, right):
                return self._call(Builtin(0, "assign"), [left, right])
            case Unify(left, right):
                return self._call(Builtin(0, "eq"), [left, right])
            case Some(names):
                return {"symbols": [self.term(one) for one in names]}
            case SomeIn():
                return {"symbols": [self.term(_membership(what))]}
            case Every():
                return self._every(what)
            case Call(function=function, arguments=arguments):
                return self._call(function, arguments)
            case _:
                return self.term(what)

    def _every(self, what: Every) -> Node:
        return {
            "key": self.term(what.key) if what.key else None,
            "value": self.term(what.value),
            "domain": self.term(what.domain),
            "body": self.body(what.body),
        }

    def _call(self, function: Term, arguments: Sequence[Term]) -> list[Node]:
        called = self.term(function)
        return [node("ref", [called]) if called["type"] == "var" else called, *map(self.term, arguments)]

    def term(self, term: Term) -> Node:
        """Any term."""
        match term:
            case Scalar():
                return scalar(term)
            case Var(name=name):
                return path([name]) if name in _ROOTS else self.variable(name)
            case Builtin(name=name):
                return path(name.split("."))
            case Ref(head=head, parts=parts):
                first = self.variable(head.name) if isinstance(head, Var) else self.term(head)
                return node("ref", [first, *map(self.term, parts)])
            case Call(function=function, arguments=arguments):
                return node("call", self._call(function, arguments))
            case _:
                return self._composite(term)

    def variable(self, name: str) -> Node:
        """A name; each `_` of a module is numbered as it is read."""
        if name.endswith("$") and name not in self._wildcards:
            self._wildcards[name] = f"${next(self._count)}"
        return node("var", self._wildcards.get(name, name))

    def argument(self, term: Term) -> Node:
        """Of a rule's head: where the head stands for several bodies, `_` is another name for each."""
        if isinstance(term, Var):
            self._wildcards.pop(term.name, None)
        return self.term(term)

    def _composite(self, term: Array | Set | Object | Comprehension | Template) -> Node:
        match term:
            case Array(items=items):
                return node("array", [self.term(one) for one in items])
            case Set(items=items):
                return node("set", sorted_terms([self.term(one) for one in items]))
            case Object(pairs=pairs):
                return node("object", sorted_pairs([[self.term(key), self.term(value)] for key, value in pairs]))
            case Comprehension():
                return self._comprehension(term)
            case Template():
                return self._template(term)

    def _comprehension(self, term: Comprehension) -> Node:
        names = ("key", "value") if term.kind == "object" else ("term",)
        head = {name: self.term(one) for name, one in zip(names, term.head, strict=True)}
        return node(f"{term.kind}comprehension", head | {"body": self.body(term.body)})

    def _template(self, term: Template) -> Node:
        parts = []
        for text, part in zip_longest(term.texts, term.parts):
            parts += [node("string", text)] if text else []
            parts += [self._part(part)] if part else []
        return node("templatestring", {"multi_line": self._text[term.start + 1] == "`", "parts": parts or None})

    def _part(self, part: Expr) -> Node:
        return scalar(part.what) if isinstance(part.what, Scalar) else self._expression(part)


def _membership(what: SomeIn) -> Call:
    name = "internal.member_3" if what.key else "internal.member_2"
    return Call(0, Builtin(0, name), [*([what.key] if what.key else []), what.value, what.domain])
