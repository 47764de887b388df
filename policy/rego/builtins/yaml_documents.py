"""YAML documents. What they are is what go-yaml v3 reads and writes (see yaml_reader.py and yaml_writer.py)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from policy.rego import json_text, numerals
from policy.rego.builtins.operands import MAX_LENGTH, legible
from policy.rego.builtins.yaml_reader import read
from policy.rego.builtins.yaml_writer import write
from policy.rego.values import UNDEFINED


def marshal(value: Any) -> Any:
    """YAML text of a value; numbers become integers of 64 bits or doubles."""
    try:
        return write(read(json_text.encode(value)))
    except ValueError:
        return UNDEFINED


def unmarshal(text: Any) -> Any:
    """Value of a YAML text's first document."""
    if type(text) is not str or len(text) > MAX_LENGTH:
        return UNDEFINED
    try:
        return _value(read(text))
    except ValueError:
        return UNDEFINED


def is_valid(text: Any) -> bool:
    """Whether it is YAML."""
    return unmarshal(text) is not UNDEFINED


def _value(held: Any) -> Any:
    if type(held) is dict:
        return {legible(name): _value(inner) for name, inner in held.items()}
    if type(held) is list:
        return [_value(inner) for inner in held]
    return numerals.number(_json(held)) if type(held) is float else held


def _json(value: float) -> str:
    """A double as Go's JSON has it. Raises ValueError for what is no number."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("no number")
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return re.sub(r"e-0(\d)$", r"e-\1", repr(value))


BUILTINS = {"yaml.marshal": marshal, "yaml.unmarshal": unmarshal, "yaml.is_valid": is_valid}
