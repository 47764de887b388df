"""Carrying out a Go template on data. Loops, and templates in one another, are bounded."""

from __future__ import annotations

from typing import Any

from policy.rego.builtins.operands import MAX_LENGTH
from policy.rego.builtins.templates.blocks import Block
from policy.rego.builtins.templates.functions import FUNCTIONS, LAZY, MISSING, printed, true
from policy.rego.builtins.templates.pipes import Operand, Pipe

MAX_STEPS = 1_000_000  # blocks that are passed and commands that are run
_STEP_LENGTH = 16  # characters that a function makes in one step
MAX_DEPTH = 30  # of templates in one another
_NOTHING = object()  # where no value comes from a pipe


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Execution:
    """Raises ValueError for an error of the template, and where it takes too long."""

    def __init__(self, templates: dict[str, list[Block]]):
        self.parts: list[str] = []
        self._templates = templates
        self._variables: list[tuple[str, Any]] = []
        self._steps = 0
        self._depth = 0
        self._length = 0

    def template(self, name: str, dot: Any) -> None:
        """Carry out one template, which sees no variables of another."""
        if name not in self._templates or self._depth >= MAX_DEPTH:
            raise ValueError(f"no template {name}, or too deep")
        outside, self._variables = self._variables, [("$", dot)]
        self._depth += 1
        self._walk(dot, self._templates[name])
        self._depth -= 1
        self._variables = outside

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise ValueError("too many steps")

    def _put(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_LENGTH:
            raise ValueError("text too long")
        self.parts.append(text)

    def _walk(self, dot: Any, blocks: list[Block]) -> None:
        for block in blocks:
            self._step()
            if block.kind == "text":
                self._put(block.text)
            elif block.kind == "action":
                value = self._pipe(dot, block.pipe)
                if block.pipe and not block.pipe.variables:
                    self._put(printed(value))
            elif block.kind == "template":
                self.template(block.text, self._pipe(dot, block.pipe) if block.pipe else MISSING)
            elif block.kind in ("break", "continue"):
                raise _Break if block.kind == "break" else _Continue
            else:
                self._control(dot, block)

    def _control(self, dot: Any, block: Block) -> None:
        known = len(self._variables)
        if block.kind == "range":
            self._range(dot, block)
        else:
            value = self._pipe(dot, block.pipe)
            if true(value):
                self._walk(value if block.kind == "with" else dot, block.inside)
            else:
                self._walk(dot, block.otherwise)
        del self._variables[known:]

    def _range(self, dot: Any, block: Block) -> None:
        value = self._pipe(dot, block.pipe)
        items = _items(value)
        if type(value) is int and block.pipe and len(block.pipe.variables) > 1:
            raise ValueError("a number has no places")
        known = len(self._variables)
        empty = True
        for at, held in items:
            empty = False
            self._step()
            self._bind(block.pipe, at, held)
            try:
                self._walk(held, block.inside)
            except _Continue:
                pass
            except _Break:
                break
            finally:
                del self._variables[known:]
        if empty:
            self._walk(dot, block.otherwise)

    def _bind(self, pipe: Pipe | None, at: Any, held: Any) -> None:
        names = pipe.variables if pipe else []
        for name, value in zip(names, (held,) if len(names) == 1 else (at, held), strict=False):
            self._set(name, value)

    def _set(self, name: str, value: Any) -> None:
        at = next((at for at in reversed(range(len(self._variables))) if self._variables[at][0] == name), None)
        if at is None:
            raise ValueError(f"undefined variable {name}")
        self._variables[at] = (name, value)

    def _pipe(self, dot: Any, pipe: Pipe | None) -> Any:
        value: Any = _NOTHING
        for command in pipe.commands if pipe else []:
            value = self._command(dot, command, value)
            value = MISSING if value is None else value
        for name in pipe.variables if pipe else []:
            if pipe and pipe.assigns:
                self._set(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _command(self, dot: Any, operands: list[Operand], final: Any) -> Any:
        self._step()
        first = operands[0]
        if first.kind == "function" and not first.names:
            return self._call(dot, first.held, operands[1:], final)
        if first.kind == "nil":
            raise ValueError("nil is no command")
        given = len(operands) > 1 or final is not _NOTHING
        if given and not first.names:
            raise ValueError("not a function")
        return self._operand(dot, first, given)

    def _operand(self, dot: Any, operand: Operand, given: bool = False) -> Any:
        match operand.kind:
            case "dot":
                value = dot
            case "variable":
                value = next((value for name, value in reversed(self._variables) if name == operand.held), _NOTHING)
            case "pipe":
                value = self._pipe(dot, operand.held)
            case "function":
                value = self._call(dot, operand.held, [], _NOTHING)
            case _:
                value = operand.held if operand.kind == "literal" else MISSING
        if value is _NOTHING:
            raise ValueError("undefined variable")
        for name in operand.names:
            value = _field(value, name, given and name is operand.names[-1])
        return value

    def _call(self, dot: Any, name: str, operands: list[Operand], final: Any) -> Any:
        if name in LAZY:
            return self._first(dot, name, operands, final)
        fewest, most, function = FUNCTIONS.get(name, (1, 0, None))
        count = len(operands) + (final is not _NOTHING)
        if function is None or count < fewest or (most is not None and count > most):
            raise ValueError(f"{name} has other arguments")
        values = [self._operand(dot, operand) for operand in operands]
        made = function(*(MISSING if one is None else one for one in [*values, final] if one is not _NOTHING))
        self._steps += len(made) // _STEP_LENGTH if isinstance(made, str) else 0
        return made

    def _first(self, dot: Any, name: str, operands: list[Operand], final: Any) -> Any:
        """The first argument that decides, or the last."""
        if not operands and final is _NOTHING:
            raise ValueError(f"{name} has other arguments")
        value: Any = MISSING
        for operand in operands:
            value = self._operand(dot, operand)
            if true(value) == (name == "or"):
                return value
        return value if final is _NOTHING else final


def _field(value: Any, name: str, given: bool) -> Any:
    if value is MISSING:
        return MISSING
    if type(value) is not dict or given:
        raise ValueError(f"no field {name}")
    return value.get(name, MISSING)


def _items(value: Any) -> Any:
    if type(value) is dict:
        return [(name, value[name]) for name in sorted(value)]
    if type(value) is list:
        return enumerate(value)
    if type(value) is int:
        return ((MISSING, at) for at in range(value))
    if value is MISSING:
        return ()
    raise ValueError("no range")
