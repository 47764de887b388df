"""`sprintf`: Go's verbs, as OPA passes values to them."""

from __future__ import annotations

import re
from typing import Any

from policy.rego.builtins.documents import marshal
from policy.rego.builtins.numbers import format_int
from policy.rego.values import UNDEFINED, RegoSet, scan

MAX_WIDTH = 1000  # a wider field is undefined
_VERB = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")
_BASES = {"d": 10, "b": 2, "o": 8, "x": 16, "X": 16}


def sprintf(template: Any, values: Any) -> Any:
    """The template with each verb replaced by a value."""
    if type(template) is not str or type(values) is not list:
        return UNDEFINED
    if any(int(width or 0) > MAX_WIDTH or int(digits or 0) > MAX_WIDTH for _, width, digits, _ in _verbs(template)):
        return UNDEFINED
    rest = list(values)
    text = _VERB.sub(lambda verb: "%" if verb[4] == "%" else _field(verb, rest), template)
    if rest:
        text += f"%!(EXTRA {', '.join(f'{_go_type(one)}={shown(one)}' for one in rest)})"
    return text


def _verbs(template: str) -> list[tuple[str, str, str, str]]:
    return _VERB.findall(template)


def _field(verb: re.Match[str], rest: list[Any]) -> str:
    if not rest:
        return f"%!{verb[4]}(MISSING)"
    value = rest.pop(0)
    text = _formatted(verb[4], verb[3], value)
    if "+" in verb[1] and type(value) in (int, float) and value >= 0:
        text = f"+{text}"
    width = int(verb[2] or 0)
    if "-" in verb[1]:
        return text.ljust(width)
    return text.zfill(width) if "0" in verb[1] and type(value) in (int, float) else text.rjust(width)


def _formatted(verb: str, digits: str | None, value: Any) -> str:
    if verb in _BASES and type(value) is float and value.is_integer():
        value = int(value)
    if verb in _BASES and type(value) is int:
        text: str = format_int(value, _BASES[verb])
        return text.upper() if verb == "X" else text
    if verb in "feEgG" and type(value) in (int, float):
        return _real(verb, digits, value)
    if verb in "xX" and type(value) is str:
        return value.encode().hex()
    if verb == "t" and type(value) is bool:
        return shown(value)
    if verb == "q" and type(value) is str:
        return marshal(value)
    if verb in "sv":
        text = shown(value)
        return text[: int(digits)] if digits and verb == "s" else text
    return f"%!{verb}({_go_type(value)}={shown(value)})"


def _real(verb: str, digits: str | None, value: float) -> str:
    if verb in "gG" and digits is None:
        return shown(value)
    return f"%.{digits or 6}{verb}" % value


def _go_type(value: Any) -> str:
    return {int: "int", float: "float64", str: "string"}.get(type(value), "string")


def shown(value: Any) -> str:
    """A value as `%v` shows it: text bare, anything else as Rego writes it."""
    return value if type(value) is str else _written(value)


def _written(value: Any) -> str:
    if type(value) is RegoSet:
        return f"{{{', '.join(map(_written, value))}}}" if value.keys else "set()"
    if type(value) is list:
        return f"[{', '.join(map(_written, value))}]"
    if type(value) is dict:
        return f"{{{', '.join(f'{_written(at)}: {_written(held)}' for at, held in scan(value))}}}"
    return marshal(value)


BUILTINS = {"sprintf": sprintf}
