"""`strings.render_template`: Go's text/template on JSON-like data.

What is not here is undefined: complex numbers, `_` in numbers, `call`, the byte at a text's index, and `printf` of
anything but texts and numbers, or with verbs that do not fit them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from policy.rego import json_text, numerals, rego_text
from policy.rego.builtins.templates.blocks import parse
from policy.rego.builtins.templates.execution import Execution
from policy.rego.builtins.templates.functions import FUNCTIONS, LAZY, Number
from policy.rego.values import UNDEFINED


def render(template: Any, variables: Any) -> Any:
    """The template with its actions carried out on an object."""
    if type(template) is not str or type(variables) is not dict:
        return UNDEFINED
    try:
        # OPA reads what Rego writes as JSON, so sets and odd characters are refused.
        data = _plain(json_text.decode(rego_text.literal(variables)))
        execution = Execution(parse(template, {*FUNCTIONS, *LAZY, "call"}))
        execution.template("template", data)
    except (ValueError, RecursionError):
        return UNDEFINED
    return "".join(execution.parts).replace("<no value>", "<undefined>")


def _plain(value: Any) -> Any:
    if type(value) is dict:
        return {name: _plain(held) for name, held in value.items()}
    if type(value) is list:
        return [_plain(held) for held in value]
    return Number(numerals.written(value)) if type(value) in (int, float) or isinstance(value, Decimal) else value


BUILTINS = {"strings.render_template": render}
