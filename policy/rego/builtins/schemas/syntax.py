"""Keywords of JSON Schema, what the value of each may be, and OPA's words for one that may not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from policy.rego.builtins.arithmetic import number
from policy.rego.builtins.comparison import less_or_equal
from policy.rego.builtins.regexes import compiled
from policy.rego.values import UNDEFINED, RegoSet

ANY_DRAFT: Final = 99
TYPES: Final = ("array", "boolean", "integer", "number", "null", "object", "string")
SINCE: Final = {"propertyNames": 6, "contains": 6, "const": 6, "if": 7, "then": 7, "else": 7}  # the draft, if not 4
SCORE: Final = "score"  # kind of a mark that is no error
FALSE: Final = "False always fails validation"
NO_SCHEMA: Final = "Expected: Valid Schema, given: Invalid JSON"
Faults = Iterator[str]
Below = Callable[[Any], Faults]  # faults of a schema within this one
Check = Callable[[Any, str, dict[str, Any], Below], Faults]


def _expected(kind: str, given: str) -> str:
    return f"Invalid type. Expected: {kind}, given: {given}"


def _is_schema(value: Any) -> bool:
    return type(value) in (bool, dict)


def _text(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not str:
        yield _expected("string", keyword)


def _definitions(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    for one in value.values() if type(value) is dict else [None]:
        if not _is_schema(one):
            yield _expected("Array Of Schemas", keyword)
        yield from below(one)


def _type(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    names = [value] if type(value) is str else value
    if type(names) is not list or not all(type(name) is str for name in names):
        yield _expected("type", "string/Array Of Strings")
        return
    for at, name in enumerate(names):
        if name not in TYPES:
            known = " ".join(TYPES)
            yield f"has a primitive type that is NOT VALID -- given: /{name}/ Expected valid values are:[{known}]"
        if name in names[:at]:
            yield f"{name} type is duplicated"


def _properties(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not dict:
        yield "Properties must be of type object"
        return
    for one in value.values():
        yield from below(one)


def _patterns(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not dict:
        yield _expected("Valid Schema", keyword)
        return
    for pattern, one in value.items():
        if compiled(pattern) is UNDEFINED:
            yield f"Invalid regex pattern '{pattern}'"
        yield from below(one)


def _schema_or(kind: str, given: str = "") -> Check:
    """A schema, or a fault that names the kind."""

    def check(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
        if not _is_schema(value):
            yield _expected(kind, given or keyword)
        elif type(value) is dict:
            yield from below(value)

    return check


def _schema(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    return below(value)


def _object(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if not _is_schema(value):
        yield f"{keyword} must be of an object"
    else:
        yield from below(value)


def _dependencies(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not dict:
        yield f"{keyword} must be of type object"
        return
    for one in value.values():
        if _is_schema(one):
            yield from below(one)
        elif type(one) is not list or not all(type(name) is str for name in one):
            yield "Dependency must be of type Schema Or Array Of Strings"


def _items(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    for one in value if type(value) is list else [value]:
        if not _is_schema(one):
            yield _expected("Valid Schema/Array Of Schemas", keyword)
        else:
            yield from below(one)


def _multiple(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if not number(value):
        yield _expected("Number", keyword)
    elif less_or_equal(value, 0):
        yield f"{keyword} must be strictly greater than 0"


def _number(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if not number(value):
        yield f"{keyword} must be of a Number"


def _exclusive(kind: str) -> Check:
    """A flag, a number or either."""

    def check(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
        limit = keyword.removeprefix("exclusive").lower()
        if not ("boolean" in kind and type(value) is bool) and not ("number" in kind and number(value)):
            yield _expected(kind, keyword)
        elif type(value) is bool and limit not in schema:
            yield f"{keyword} cannot be used without {limit}"

    return check


def _size(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        yield f"{keyword} must be of an integer"
    elif value < 0:
        yield f"{keyword} must be greater than or equal to 0"
    least = f"min{keyword[3:]}"
    if keyword in ("maxLength", "maxProperties") and least in schema and schema[least] > value:
        yield f"{least} cannot be greater than {keyword}"


def _pattern(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not str:
        yield _expected("string", keyword)
    elif compiled(value) is UNDEFINED:
        yield f"{keyword} must be a valid regex"


def _required(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not list:
        yield f"{keyword} must be of an array"
        return
    for at, name in enumerate(value):
        if type(name) is not str:
            yield _expected("string", keyword)
        if name in value[:at]:
            yield f"{keyword} items must be unique"


def _flag(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not bool:
        yield f"{keyword} must be of a boolean"


def _enum(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not list:
        yield f"{keyword} must be of an array"
    elif len(RegoSet(value)) < len(value):
        yield f"{keyword} items must be unique"


def _several(value: Any, keyword: str, schema: dict[str, Any], below: Below) -> Faults:
    if type(value) is not list:
        yield f"{keyword} must be of an array"
        return
    for one in value:
        yield from below(one)


_FIRST: Final[dict[str, Check]] = {
    "definitions": _definitions,
    **dict.fromkeys(("title", "description", "$ref"), _text),
}
_REST: Final[dict[str, Check]] = {
    "type": _type,
    "properties": _properties,
    "additionalProperties": _schema_or("boolean/Valid Schema"),
    "patternProperties": _patterns,
    "propertyNames": _schema_or("Valid Schema", "patternProperties"),
    "dependencies": _dependencies,
    "items": _items,
    "additionalItems": _schema_or("boolean/Valid Schema"),
    "multipleOf": _multiple,
    "minimum": _number,
    "exclusiveMinimum": _exclusive("boolean/number"),
    "maximum": _number,
    "exclusiveMaximum": _exclusive("boolean/number"),
    "minLength": _size,
    "maxLength": _size,
    "pattern": _pattern,
    "format": _text,
    "minProperties": _size,
    "maxProperties": _size,
    "required": _required,
    "minItems": _size,
    "maxItems": _size,
    "uniqueItems": _flag,
    "contains": _schema,
    "enum": _enum,
    "oneOf": _several,
    "anyOf": _several,
    "allOf": _several,
    **dict.fromkeys(("not", "if", "then", "else"), _object),
}
_EXCLUSIVE: Final = {4: "boolean", 6: "number", 7: "number", ANY_DRAFT: "boolean/number"}


def before_reference() -> Mapping[str, Check]:
    """Keywords that count beside a reference, too."""
    return _FIRST


def after_reference(draft: int) -> Mapping[str, Check]:
    """Keywords that a reference stands in for."""
    exclusive = _exclusive(_EXCLUSIVE[draft])
    return _REST | {"exclusiveMinimum": exclusive, "exclusiveMaximum": exclusive}
