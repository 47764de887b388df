"""JSON Schema. References lead nowhere but into the document and to the schemas of the drafts: nothing is fetched.

The libraries for it are imported when the first schema is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from policy.rego.builtins.partial import undefined_on
from policy.rego.builtins.schemas.syntax import FALSE, SCORE
from policy.rego.json_text import decode, encode

MAX_KEPT = 1_000_000  # characters of a schema that is kept for the next time


@undefined_on(ValueError, RecursionError)
def match_schema(document: Any, schema: Any) -> Any:
    """`[true, []]`, or `[false, errors]`; a document or schema that is text is read as JSON."""
    found = _compiled(_text(schema)).iter_errors(decode(_text(document)))
    errors = [_told(error) for error in found if error.validator != SCORE]
    return [not errors, errors]


@undefined_on(RecursionError)
def verify_schema(schema: Any) -> Any:
    """`[true, null]`, or `[false, reason]`."""
    try:
        _compiled(_text(schema))
    except ValueError as error:
        return [False, f"jsonschema: {error}"]
    return [True, None]


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) not in (dict, list):
        raise ValueError("wrong type, expected string or object")
    return encode(value)


def _compiled(text: str) -> Any:
    return _kept(text) if len(text) <= MAX_KEPT else _compile(text)


def _compile(text: str) -> Any:
    from policy.rego.builtins.schemas.compiling import compile_schema

    try:
        document = decode(text)
    except ValueError:
        raise ValueError("invalid JSON string") from None
    return compile_schema(document)


_kept = lru_cache(maxsize=64)(_compile)


def _told(error: Any) -> dict[str, str]:
    kind, field = error.validator or "false", ".".join(map(str, error.path)) or "(Root)"
    description = FALSE if kind == "false" else error.message
    if kind in ("const", "enum"):
        description = f"{field} {description}"
    return {"error": f"{field}: {description}", "type": kind, "field": field, "desc": description}


BUILTINS: dict[str, Callable[..., Any]] = {"json.match_schema": match_schema, "json.verify_schema": verify_schema}
