"""Random policies, data and inputs, as texts. Names and values are few, so that they meet; values are nasty: decimals
that are written in many ways, integers beyond 64 bits, texts beyond ASCII, types that nothing expects.

A policy is two packages: `test`, which is asked for, and `lib`, which it may also read by names that it computes. Rules
read only rules before them. Types are not checked: a phrase fits its place most times, and not always.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.conformance.opa.grammar import BITS, MOCKS, PHRASES, PLAIN, READINGS, READINGS_ELSEWHERE, SCALARS, TEXTS

_MARK = re.compile(r"<(\^?)([a-z ]+?)([12]?)>")
_RULES = ("complete rule", "set rule", "object rule", "nested rule", "function rule")
_LEAVES = ("format", "pattern", "glob", "digit", "scalar", "key", "plain", "bit")
_BUDGET = 25  # phrases in a definition
_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Policy:
    """One case: modules, a query, and JSON texts of the data and of some inputs ("" for none)."""

    modules: tuple[str, ...]
    query: str
    data: str
    inputs: tuple[str, ...]
    strict: bool

    def __str__(self) -> str:
        inputs = [f"input: {one or 'undefined'}" for one in self.inputs]
        return "\n".join(
            (*self.modules, f"query: {self.query}", f"strict: {self.strict}", f"data: {self.data}", *inputs)
        )


def policies() -> st.SearchStrategy[Policy]:
    """Policies that OPA may still refuse, for a variable that is not safe or a recursion."""
    return _policies()


@st.composite
def _policies(draw: st.DrawFn) -> Policy:
    lib = _module(draw, "lib", "l", {})
    reading = {f"data.lib.{name}": kind for name, kind in lib.rules.items()}
    test = _module(draw, "test", "p", reading)
    rules = [f"data.test.{name}" for name, kind in test.rules.items() if kind != "function rule"]
    queries = [f"{rule}{key} = x" for rule in rules for key in ("", "[y]")]
    query = draw(st.sampled_from(["data.test = x", "data.test = x; data.lib = y", *queries]))
    inputs = draw(st.lists(_DOCUMENTS | _values(1) | st.just(""), min_size=1, max_size=5))
    return Policy((lib.text, test.text), query, draw(_DOCUMENTS), tuple(inputs), draw(st.booleans()))


def _values(depth: int) -> st.SearchStrategy[str]:
    scalars = st.sampled_from(BITS) | st.sampled_from(PLAIN) | st.sampled_from(SCALARS)
    if not depth:
        return scalars
    inner = _values(depth - 1)
    arrays = st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
    return scalars | arrays | st.dictionaries(st.sampled_from(TEXTS), inner, max_size=4).map(_object)


def _object(members: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in members.items()) + "}"


_DOCUMENTS = st.fixed_dictionaries({}, optional={name: _values(3) for name in ('"a"', '"b"', '"c"')}).map(_object)


@dataclass(frozen=True, slots=True)
class _Module:
    text: str
    rules: Mapping[str, str]  # kind by name


def _module(draw: st.DrawFn, package: str, prefix: str, readable: Mapping[str, str]) -> _Module:
    rules: dict[str, str] = {}
    texts = [f"package {package}"]
    for index in range(draw(st.integers(1, 3))):
        name, kind = f"{prefix}{index}", draw(st.sampled_from(_RULES))
        writer = _Writer(draw, {**readable, **rules})
        if kind == "complete rule" and draw(st.booleans()):
            texts.append(f"default {name} := {draw(st.sampled_from(PLAIN))}")
        if kind == "function rule" and draw(st.booleans()):
            texts.append(f"default {name}(_, _) := {draw(st.sampled_from(PLAIN))}")
        texts += [writer.definition(name, kind) for _ in range(draw(st.integers(1, 2)))]
        rules[name] = kind
    return _Module("\n\n".join(texts) + "\n", rules)


def _readings(name: str, kind: str) -> Iterator[tuple[str, str]]:
    """Phrases that read a rule, or put something in its place, by their kinds."""
    tables = [READINGS[kind]]
    if name.startswith("data."):
        tables += [READINGS_ELSEWHERE, MOCKS] if kind == "function rule" else [READINGS_ELSEWHERE]
    for table in tables:
        for phrase_kind, phrases in table.items():
            yield from ((phrase_kind, phrase.replace("@", name)) for phrase in phrases)


class _Writer:
    """Writes phrases by the grammar."""

    def __init__(self, draw: st.DrawFn, rules: Mapping[str, str]):
        self._draw = draw
        self._names = 0
        self._left = 0
        self._more: dict[str, list[str]] = {}
        for name, kind in rules.items():
            for phrase_kind, phrase in _readings(name, kind):
                self._more.setdefault(phrase_kind, []).append(phrase)

    def definition(self, name: str, kind: str) -> str:
        """One definition of a rule."""
        self._left = _BUDGET
        return self._phrase(self._pick(PHRASES[kind]).replace("@", name), (), _DEPTH)[0]

    def _pick(self, options: tuple[str, ...]) -> str:
        return self._draw(st.sampled_from(options))

    def _phrase(self, phrase: str, known: tuple[str, ...], depth: int) -> tuple[str, tuple[str, ...]]:
        """The phrase with its marks replaced, and the variables known after it."""
        named: dict[str, str] = {}
        new: list[str] = []
        for mark in _MARK.finditer(phrase):
            if mark[3] and mark[0] not in named:
                named[mark[0]] = f"v{self._names}"
                self._names += 1
                new += [named[mark[0]]] if mark[2] == "new" else []
        inner = (*known, *named.values())
        if "<body>" in phrase:
            body, inner = self._body(inner, depth)
            named["<body>"] = body
        text = _MARK.sub(
            lambda mark: named.get(mark[0]) or self._of_kind(mark[2], inner if mark[1] else known, depth - 1), phrase
        )
        return text, (*known, *new)

    def _body(self, known: tuple[str, ...], depth: int) -> tuple[str, tuple[str, ...]]:
        conditions = []
        for _ in range(self._draw(st.integers(1, 2))):
            text, known = self._phrase(self._chosen("condition", depth - 1), known, depth - 1)
            conditions.append(text)
        return "\n".join(conditions), known

    def _of_kind(self, kind: str, known: tuple[str, ...], depth: int) -> str:
        if kind in _LEAVES:
            return self._pick(PHRASES[kind])
        if known and self._draw(st.integers(0, 2)) == 2:
            return self._pick(known)
        if kind not in ("any", "scalar") and self._draw(st.integers(0, 11)) == 11:
            kind = "document"
        return self._phrase(self._chosen(kind, depth), known, depth)[0]

    def _chosen(self, kind: str, depth: int) -> str:
        self._left -= 1
        options = (*PHRASES[kind], *self._more.get(kind, ()))
        if depth <= 0 or self._left <= 0:
            options = tuple(one for one in options if "<" not in one.replace(" < ", "")) or ("true",)
        return self._pick(options)
