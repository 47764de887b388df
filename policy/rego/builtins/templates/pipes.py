"""Pipelines of Go templates: commands, each given what the one before it returned."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from policy.rego.builtins.templates.lexer import Cursor
from policy.rego.builtins.templates.literals import literal

MAX_DEPTH = 100  # of blocks and parentheses in one another


@dataclass(slots=True)
class Operand:
    """`names` are the fields behind it. What it holds: a literal's value, a variable's or function's name, a pipe."""

    kind: Literal["dot", "nil", "literal", "variable", "function", "pipe"]
    held: Any = None
    names: list[str] = field(default_factory=list)
    field_first: bool = False  # `.name` rather than `. `


@dataclass(slots=True)
class Pipe:
    """Commands, each given what the one before it returned, and the variables that take the result."""

    commands: list[list[Operand]] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    assigns: bool = False


class PipeParser(Cursor):
    """Reads pipelines. Raises ValueError where there is none, or one uses what is not defined."""

    def __init__(self, template: str, functions: Collection[str]):
        super().__init__(template)
        self._functions = functions
        self._variables = ["$"]
        self._depth = 0

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError("too deep")

    def _pipe(self, end: str, context: str = "") -> Pipe:
        pipe = Pipe()
        self._declarations(pipe, context)
        while True:
            self._skip()
            if self._peek().kind == end:
                self._next()
                break
            pipe.commands.append(self._command(end))
        if not pipe.commands:
            raise ValueError("missing value")
        if any(command[0].kind in ("dot", "nil", "literal") and not command[0].names for command in pipe.commands[1:]):
            raise ValueError("only a function takes a value from a pipe")
        return pipe

    def _declarations(self, pipe: Pipe, context: str) -> None:
        self._skip()
        while self._peek().kind == "variable":
            before, token = self._at, self._next()
            self._skip()
            following = self._peek().kind
            if following not in ("assign", "declare", "comma"):
                self._at = before
                return
            self._next()
            self._skip()
            pipe.variables.append(token.text)
            self._variables.append(token.text)
            if following != "comma":
                pipe.assigns = following == "assign"
                return
            if context != "range" or len(pipe.variables) > 1 or self._peek().kind not in ("variable", "end", "close"):
                raise ValueError("too many variables")

    def _command(self, end: str) -> list[Operand]:
        operands: list[Operand] = []
        while True:
            self._skip()
            if (operand := self._operand()) is not None:
                operands.append(operand)
            kind = self._peek().kind
            if kind == "space":
                continue
            if kind == "pipe":
                self._next()
            elif kind not in ("end", "close"):
                raise ValueError("operand expected")
            break
        if not operands:
            raise ValueError("empty command")
        return operands

    def _operand(self) -> Operand | None:
        operand = self._term()
        if operand is None:
            return None
        while self._peek().kind == "field":
            if operand.kind in ("nil", "literal") or (operand.kind == "dot" and not operand.names):
                raise ValueError("a literal has no fields")
            operand.names.append(self._next().text[1:])
        return operand

    def _term(self) -> Operand | None:
        token = self._peek()
        if token.kind == "word":
            found: Operand | None = self._word(token.text)
        elif token.kind in ("dot", "field"):
            found = Operand("dot", names=[token.text[1:]] if token.kind == "field" else [])
        elif token.kind == "variable":
            if token.text not in self._variables:
                raise ValueError(f"undefined variable {token.text}")
            found = Operand("variable", token.text)
        elif token.kind in ("string", "raw", "char", "number"):
            found = Operand("literal", literal(token))
        else:
            return self._parenthesis() if token.kind == "open" else None
        self._next()
        return found

    def _word(self, word: str) -> Operand:
        if word in ("true", "false"):
            return Operand("literal", word == "true")
        if word == "nil":
            return Operand("nil")
        if word not in self._functions:
            raise ValueError(f"function {word} is not defined")
        return Operand("function", word)

    def _parenthesis(self) -> Operand:
        self._next()
        self._enter()
        found = Operand("pipe", self._pipe("close"))
        self._depth -= 1
        return found
