"""OPA's plans, evaluated statement by statement as `v1/ir/ir.go` describes them and with nothing clever: what a plan
means, where OPA's own engine finds something else than its plan says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from policy.rego import json_text, numerals, values
from policy.rego.builtins import ARITIES, BUILTINS, IMPURE
from policy.rego.values import UNDEFINED, BuiltinError, EvaluationError, RegoSet

_CAPITAL = re.compile("(?=[A-Z])")
_DEFINED = -1  # a block ran to its end; otherwise the number of blocks around it that end with it
Frame = dict[int, Any]


class _Returned(Exception):
    pass


def _never(_: Any) -> bool:
    return False


# Builtins that may have no value without an error, and for which argument.
_EMPTY: Mapping[str, Callable[[Any], bool]] = {
    "max": lambda given: isinstance(given, (list, RegoSet)) and not len(given),
    "min": lambda given: isinstance(given, (list, RegoSet)) and not len(given),
    "uuid.parse": lambda given: isinstance(given, str),
}


class CallFailed(BuiltinError):
    """A builtin has no value, and errors are strict. `call` is what was called, as Rego."""

    def __init__(self, name: str, arguments: Sequence[Any]):
        super().__init__(name)
        self.call = f"{name}({', '.join(map(rego, arguments))})"


def rego(value: Any) -> str:
    """A value as Rego writes it."""
    if isinstance(value, RegoSet):
        return f"{{{', '.join(map(rego, value))}}}" if len(value) else "set()"
    if isinstance(value, list):
        return f"[{', '.join(map(rego, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{rego(name)}: {rego(held)}' for name, held in values.scan(value))}}}"
    return json_text.encode(value)


def results(plan: Mapping[str, Any], given: Any, data: Any, strict: bool) -> list[dict[str, Any]]:
    """The result set of the plan's only query. Raises EvaluationError."""
    interpreter = _Interpreter(plan, strict)
    interpreter.call(plan["plans"]["plans"][0]["blocks"], {0: given, 1: data})
    return interpreter.found


class _Interpreter:
    # `on_…` is a statement, and returns nothing or as `_block` does; 0 is undefined.

    def __init__(self, plan: Mapping[str, Any], strict: bool):
        self.found: list[dict[str, Any]] = []
        self._strings = [entry["value"] for entry in plan["static"].get("strings") or ()]
        functions = plan.get("funcs", {}).get("funcs") or ()
        self._functions = {one["name"]: one for one in functions}
        self._paths = {tuple(one.get("path") or ()): one["name"] for one in functions}
        self._strict = strict

    def call(self, blocks: Sequence[Any], frame: Frame) -> Any:
        try:
            for block in blocks:
                self._block(block, frame)
        except _Returned as returned:
            return returned.args[0]
        return UNDEFINED

    def _block(self, block: Mapping[str, Any], frame: Frame) -> int:
        for statement in block["stmts"] or ():
            kind = _CAPITAL.sub("_", statement["type"].removesuffix("Stmt")).lower()
            run: Callable[..., int | None] = getattr(self, f"on{kind}")
            left = run(statement["stmt"], frame)
            if left is not None and left != _DEFINED:
                return left
        return _DEFINED

    def _value(self, operand: Mapping[str, Any], frame: Frame) -> Any:
        match operand["type"]:
            case "local":
                return frame.get(operand["value"], UNDEFINED)
            case "string_index":
                return self._strings[operand["value"]]
            case _:
                return operand["value"]

    def _result(self, value: Any, target: int, frame: Frame) -> int:
        if value is UNDEFINED:
            return 0
        frame[target] = value
        return _DEFINED

    def on_block(self, one: Mapping[str, Any], frame: Frame) -> int:
        for block in one["blocks"] or ():
            left = self._block(block, frame)
            if left > 0:
                return left - 1
        return _DEFINED

    def on_break(self, one: Mapping[str, Any], frame: Frame) -> int:
        return int(one["index"])

    def on_nop(self, one: Mapping[str, Any], frame: Frame) -> None:
        pass

    def on_not(self, one: Mapping[str, Any], frame: Frame) -> int:
        left = self._block(one["block"], frame)
        return 0 if left == _DEFINED else left - 1

    def on_scan(self, one: Mapping[str, Any], frame: Frame) -> int:
        for name, held in list(values.scan(frame.get(one["source"], UNDEFINED))):
            frame[one["key"]], frame[one["value"]] = name, held
            left = self._block(one["block"], frame)
            if left > 0:
                return left - 1
        return _DEFINED

    def on_with(self, one: Mapping[str, Any], frame: Frame) -> int:
        local, path = one["local"], tuple(self._strings[index] for index in one.get("path") or ())
        before = frame.get(local, UNDEFINED)
        frame[local] = values.upserted(before, path, self._value(one["value"], frame))
        left = self._block(one["block"], frame)
        frame[local] = before
        return left

    def on_return_local(self, one: Mapping[str, Any], frame: Frame) -> None:
        raise _Returned(frame.get(one["source"], UNDEFINED))

    def on_result_set_add(self, one: Mapping[str, Any], frame: Frame) -> None:
        self.found.append(frame[one["value"]])

    def on_call(self, one: Mapping[str, Any], frame: Frame) -> int:
        arguments = [self._value(operand, frame) for operand in one["args"] or ()]
        return self._result(self._called(one["func"], arguments), one["result"], frame)

    def on_call_dynamic(self, one: Mapping[str, Any], frame: Frame) -> int:
        path = tuple(values.key(self._value(operand, frame)) for operand in one["path"])
        name = self._paths.get(path)
        arguments = [frame.get(local, UNDEFINED) for local in one["args"]]
        return 0 if name is None else self._result(self._called(name, arguments), one["result"], frame)

    def _called(self, name: str, arguments: Sequence[Any]) -> Any:
        if name not in self._functions:
            return self._builtin(name, arguments)
        function = self._functions[name]
        if len(arguments) < len(function["params"]):
            return UNDEFINED  # a function as if it were a rule: a part of its package that has no value
        return self.call(function["blocks"], dict(zip(function["params"], arguments, strict=True)))

    def _builtin(self, name: str, arguments: Sequence[Any]) -> Any:
        memory = [[0, None, None]] if name in IMPURE else []
        value = BUILTINS[name](*memory, *arguments[: ARITIES[name]])
        if value is UNDEFINED and self._strict and not _EMPTY.get(name, _never)(arguments[0]):
            raise CallFailed(name, arguments)
        return value

    def on_assign_var(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = self._value(one["source"], frame)

    def on_assign_var_once(self, one: Mapping[str, Any], frame: Frame) -> None:
        value = self._value(one["source"], frame)
        before = frame.get(one["target"], UNDEFINED)
        if before is not UNDEFINED and not values.equal(before, value):
            raise EvaluationError("two values")
        frame[one["target"]] = value

    def on_assign_int(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = one["value"]

    def on_reset_local(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = UNDEFINED

    def on_dot(self, one: Mapping[str, Any], frame: Frame) -> int:
        source, at = self._value(one["source"], frame), self._value(one["key"], frame)
        return self._result(values.dot(source, at), one["target"], frame)

    def on_len(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = len(self._value(one["source"], frame))

    def on_make_null(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = None

    def on_make_number_int(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = one["value"]

    def on_make_number_ref(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = numerals.number(self._strings[one["index"]])

    def on_make_array(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = []

    def on_make_object(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = {}

    def on_make_set(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = RegoSet()

    def on_array_append(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["array"]].append(self._value(one["value"], frame))

    def on_set_add(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["set"]].add(self._value(one["value"], frame))

    def on_object_insert(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["object"]][values.key(self._value(one["key"], frame))] = self._value(one["value"], frame)

    def on_object_insert_once(self, one: Mapping[str, Any], frame: Frame) -> None:
        values.inserted_once(frame[one["object"]], self._value(one["key"], frame), self._value(one["value"], frame))

    def on_object_merge(self, one: Mapping[str, Any], frame: Frame) -> None:
        frame[one["target"]] = values.merged(frame[one["a"]], frame[one["b"]])

    def on_equal(self, one: Mapping[str, Any], frame: Frame) -> int:
        return _DEFINED if values.equal(self._value(one["a"], frame), self._value(one["b"], frame)) else 0

    def on_not_equal(self, one: Mapping[str, Any], frame: Frame) -> int:
        return 0 if self.on_equal(one, frame) == _DEFINED else _DEFINED

    def on_is_array(self, one: Mapping[str, Any], frame: Frame) -> int:
        return _DEFINED if type(self._value(one["source"], frame)) is list else 0

    def on_is_object(self, one: Mapping[str, Any], frame: Frame) -> int:
        return _DEFINED if type(self._value(one["source"], frame)) is dict else 0

    def on_is_set(self, one: Mapping[str, Any], frame: Frame) -> int:
        return _DEFINED if type(self._value(one["source"], frame)) is RegoSet else 0

    def on_is_defined(self, one: Mapping[str, Any], frame: Frame) -> int:
        return 0 if frame.get(one["source"], UNDEFINED) is UNDEFINED else _DEFINED

    def on_is_undefined(self, one: Mapping[str, Any], frame: Frame) -> int:
        return _DEFINED if frame.get(one["source"], UNDEFINED) is UNDEFINED else 0
