"""Go templates as trees: texts, actions, and control structures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from policy.rego.builtins.templates.lexer import Token
from policy.rego.builtins.templates.literals import literal
from policy.rego.builtins.templates.pipes import Pipe, PipeParser


@dataclass(slots=True)
class Block:
    """A text, an action, or a control structure with what is inside of it."""

    kind: Literal["text", "action", "if", "with", "range", "template", "break", "continue"]
    text: str = ""  # of a template: its name
    pipe: Pipe | None = None
    inside: list[Block] = field(default_factory=list)
    otherwise: list[Block] = field(default_factory=list)


def parse(template: str, functions: Collection[str]) -> dict[str, list[Block]]:
    """Templates by name; the whole is named "template". Raises ValueError."""
    return _Parser(template, functions).templates()


class _Parser(PipeParser):
    def __init__(self, template: str, functions: Collection[str]):
        super().__init__(template, functions)
        self._ranges = 0
        self._templates: dict[str, list[Block]] = {}

    def templates(self) -> dict[str, list[Block]]:
        whole: list[Block] = []
        while self._at < len(self._tokens):
            if self._keyword() == "define":
                self._define()
            else:
                whole.append(self._block())
        self._add("template", whole)
        return self._templates

    def _keyword(self) -> str:
        """The first word of the action that begins here."""
        if self._peek().kind != "begin":
            return ""
        at = self._at + 1
        while at < len(self._tokens) and self._tokens[at].kind == "space":
            at += 1
        return self._tokens[at].text if at < len(self._tokens) and self._tokens[at].kind == "word" else ""

    def _take_keyword(self) -> None:
        self._expect("begin")
        self._expect("word")

    def _block(self) -> Block:
        if self._peek().kind == "text":
            return Block("text", self._next().text)
        word = self._keyword()
        if word in ("if", "with", "range"):
            self._take_keyword()
            return self._control(word)
        if word in ("template", "block", "break", "continue"):
            self._take_keyword()
            return self._template(word) if word in ("template", "block") else self._jump(word)
        if word in ("else", "end", "define"):
            raise ValueError(f"unexpected {word}")
        self._expect("begin")
        return Block("action", pipe=self._pipe("end"))

    def _blocks(self) -> tuple[list[Block], str]:
        """Up to an `else` or `end`, which is taken."""
        blocks: list[Block] = []
        while (word := self._keyword()) not in ("else", "end"):
            if self._at >= len(self._tokens):
                raise ValueError("end expected")
            blocks.append(self._block())
        self._take_keyword()
        return blocks, word

    def _control(self, kind: Any) -> Block:
        known = len(self._variables)
        self._enter()
        block = Block(kind, pipe=self._pipe("end", kind))
        self._ranges += kind == "range"
        block.inside, word = self._blocks()
        self._ranges -= kind == "range"
        self._skip()
        if word == "else" and kind != "range" and self._peek() == Token("word", kind):
            self._next()
            block.otherwise = [self._control(kind)]  # whose `end` is this one's too
        else:
            self._expect("end")
            if word == "else":
                block.otherwise, word = self._blocks()
                self._expect("end")
                if word != "end":
                    raise ValueError("end expected")
        del self._variables[known:]
        self._depth -= 1
        return block

    def _jump(self, kind: Any) -> Block:
        self._expect("end")
        if not self._ranges:
            raise ValueError(f"{kind} outside range")
        return Block(kind)

    def _template(self, word: str) -> Block:
        name = self._name()
        self._skip()
        if word == "template" and self._peek().kind == "end":
            self._next()
            return Block("template", name)
        block = Block("template", name, self._pipe("end"))
        if word == "block":
            self._body(name)
        return block

    def _define(self) -> None:
        self._take_keyword()
        name = self._name()
        self._expect("end")
        self._body(name)

    def _body(self, name: str) -> None:
        """A template within the template, which knows none of its variables."""
        outside = self._variables, self._ranges
        self._variables, self._ranges = ["$"], 0
        self._enter()
        blocks, word = self._blocks()
        self._expect("end")
        if word != "end":
            raise ValueError("end expected")
        self._depth -= 1
        self._variables, self._ranges = outside
        self._add(name, blocks)

    def _name(self) -> str:
        self._skip()
        token = self._next()
        if token.kind not in ("string", "raw"):
            raise ValueError("name expected")
        return str(literal(token))

    def _add(self, name: str, blocks: list[Block]) -> None:
        if _empty(self._templates.get(name, [])):
            self._templates[name] = blocks
        elif not _empty(blocks):
            raise ValueError(f"template {name} is defined twice")


def _empty(blocks: list[Block]) -> bool:
    return all(block.kind == "text" and not block.text.strip() for block in blocks)
