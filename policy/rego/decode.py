"""Reads a plan, OPA's JSON. In regopy's dialect string constants are JSON text, with or without the quotes, rows and
columns count from 0, and some statements mean something else (policy/rego/bridges.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from policy.rego.bridges import bridged
from policy.rego.numerals import number
from policy.rego.plan import (
    DATA,
    INPUT,
    ArrayAppend,
    AssignVar,
    AssignVarOnce,
    Block,
    Blocks,
    Break,
    Call,
    CallDynamic,
    Constant,
    Dialect,
    Dot,
    Equal,
    Function,
    IsDefined,
    IsType,
    IsUndefined,
    Len,
    Local,
    MakeArray,
    MakeNull,
    MakeNumber,
    MakeObject,
    MakeSet,
    Not,
    NotEqual,
    ObjectInsert,
    ObjectInsertOnce,
    ObjectMerge,
    Operand,
    Place,
    Plan,
    ResetLocal,
    ResultSetAdd,
    ReturnLocal,
    Scan,
    SetAdd,
    Statement,
    With,
)


class InvalidPlan(ValueError):
    """The front end wrote something that is not a plan."""


class UnsupportedStatement(Exception):
    """The plan has a statement that the compiler does not know."""

    def __init__(self, kind: str, at: Place):
        super().__init__(f"statement {kind} is not supported")
        self.at = at


def read_plan(document: Mapping[str, Any], dialect: Dialect) -> Plan:
    """Read a whole `plan.json`. Raises InvalidPlan, UnsupportedStatement."""
    try:
        static = document["static"]
        reader = _Reader(tuple(entry["value"] for entry in static.get("strings") or ()), dialect)
        functions = [reader.function(entry) for entry in (document.get("funcs") or {}).get("funcs") or ()]
        queries = [reader.query(entry) for entry in document["plans"]["plans"]]
        builtins = frozenset(entry["name"] for entry in static.get("builtin_funcs") or ())
        files = tuple(entry["value"] for entry in static.get("files") or ())
        return Plan({one.name: one for one in functions}, {one.name: one for one in queries}, builtins, files, dialect)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise InvalidPlan(f"not a plan: {error!r}") from error


class _Reader:
    def __init__(self, strings: tuple[str, ...], dialect: Dialect):
        self._strings = strings
        self._regopy = dialect == "regopy"

    def function(self, entry: Mapping[str, Any]) -> Function:
        return Function(
            entry["name"], tuple(entry.get("path") or ()), tuple(entry["params"]), self._blocks(entry["blocks"])
        )

    def query(self, entry: Mapping[str, Any]) -> Function:
        return Function(entry["name"], (), (INPUT, DATA), self._blocks(entry["blocks"]))

    def _blocks(self, entries: Any) -> tuple[Block, ...]:
        return tuple(self._block(entry) for entry in entries or ())

    def _block(self, entry: Mapping[str, Any]) -> Block:
        made = tuple(self._statement(one["type"], one["stmt"]) for one in entry["stmts"] or ())
        return Block(bridged(made) if self._regopy else made)

    def _statement(self, kind: str, entry: Mapping[str, Any]) -> Statement:
        at = (
            Place(entry["file"], entry["row"] + self._regopy, entry["col"] + self._regopy)
            if "file" in entry
            else Place()
        )
        if kind in _SPECIAL:
            return _SPECIAL[kind](self, entry, at)
        if kind not in _PLAIN:
            raise UnsupportedStatement(kind, at)
        return self._plain(_PLAIN[kind], entry, at)

    def _plain(self, made: type[Statement], entry: Mapping[str, Any], at: Place) -> Statement:
        names = [field.name for field in fields(made) if field.name != "at"]
        return made(at=at, **{name: self._field(made, name, entry[name]) for name in names})

    def _field(self, made: type[Statement], name: str, held: Any) -> Any:
        if isinstance(held, list) or held is None:
            return tuple(self._operand(one) for one in held or ())
        if name == "block":
            return self._block(held)
        read = name in made.READS or made in (IsDefined, IsUndefined)
        return self._operand(held) if read else held

    def _operand(self, held: Any) -> Operand:
        if isinstance(held, int):
            return Local(held)
        if held["type"] == "local":
            return Local(held["value"])
        return Constant(held["value"] if held["type"] == "bool" else self._text(held["value"]))

    def _text(self, index: int) -> str:
        text = self._strings[index]
        return (
            text if not self._regopy else str(json.loads(text if text.startswith('"') else f'"{text}"', strict=False))
        )

    def _number(self, index: int) -> Any:
        text = self._strings[index]
        return number(f"0{text}" if text.startswith(".") else text)

    def _with(self, entry: Mapping[str, Any], at: Place) -> Statement:
        path = tuple(self._text(index) for index in entry.get("path") or ())
        value, block = self._operand(entry["value"]), self._block(entry["block"])
        return With(at=at, local=entry["local"], path=path, value=value, block=block)


_PLAIN: dict[str, type[Statement]] = {
    f"{made.__name__}Stmt": made
    for made in (
        *(ReturnLocal, Call, CallDynamic, Break, Dot, Len, Scan, Not, AssignVar, AssignVarOnce, ResetLocal),
        *(MakeNull, MakeArray, MakeObject, MakeSet, Equal, NotEqual, IsDefined, IsUndefined, ArrayAppend),
        *(ObjectInsert, ObjectInsertOnce, ObjectMerge, SetAdd, ResultSetAdd),
    )
}
_SPECIAL: dict[str, Callable[[_Reader, Mapping[str, Any], Place], Statement]] = {
    "BlockStmt": lambda reader, entry, at: Blocks(at=at, inner=reader._blocks(entry["blocks"])),
    "WithStmt": _Reader._with,
    "AssignIntStmt": lambda _, entry, at: MakeNumber(at=at, value=entry["value"], target=entry["target"]),
    "MakeNumberIntStmt": lambda _, entry, at: MakeNumber(at=at, value=entry["value"], target=entry["target"]),
    "MakeNumberRefStmt": lambda reader, entry, at: MakeNumber(
        at=at, value=reader._number(entry["index"] if "index" in entry else entry["Index"]), target=entry["target"]
    ),
    "IsArrayStmt": lambda reader, entry, at: IsType(at=at, source=reader._operand(entry["source"]), kind="array"),
    "IsObjectStmt": lambda reader, entry, at: IsType(at=at, source=reader._operand(entry["source"]), kind="object"),
    "IsSetStmt": lambda reader, entry, at: IsType(at=at, source=reader._operand(entry["source"]), kind="set"),
    "NopStmt": lambda _, __, at: Blocks(at=at, inner=()),
}
