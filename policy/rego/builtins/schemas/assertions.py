"""What keywords assert about one value alone, and OPA's words where it does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from jsonschema import ValidationError

from policy.rego.big_float import general
from policy.rego.builtins.comparison import greater, greater_or_equal, less, less_or_equal
from policy.rego.builtins.operands import legible
from policy.rego.builtins.regexes import compiled
from policy.rego.builtins.schemas.formats import fits
from policy.rego.builtins.schemas.syntax import SCORE
from policy.rego.json_text import encode
from policy.rego.numerals import exact
from policy.rego.values import equal, key

Errors = Iterator[ValidationError]
Keyword = Callable[[Any, Any, Any], Errors]  # of a validator, a schema and what is matched with it
_Beyond = Callable[[Any, Any], bool]


def score(points: int) -> ValidationError:
    """No error: points for what was looked at, by which OPA finds the alternative that matches best."""
    return ValidationError("", validator=SCORE, validator_value=points)


def points(found: Sequence[ValidationError]) -> int:
    """Points of a schema that was tried; each error costs two."""
    marks = [one.validator_value for one in found if one.validator == SCORE]
    return sum(marks) - 2 * (len(found) - len(marks))  # type: ignore[arg-type]


def failed(found: Iterable[ValidationError]) -> bool:
    """Whether errors are among them."""
    return any(one.validator != SCORE for one in found)


def mismatch(kind: str, description: str) -> ValidationError:
    """An error by OPA's name of its kind."""
    return ValidationError(description, validator=kind)


def finds(pattern: str, text: str) -> bool:
    """Whether a pattern is found anywhere in a text."""
    return compiled(pattern).search(legible(text)) is not None


def _unique(validator: Any, schema: Any, instance: Any) -> Errors:
    seen: dict[Any, int] = {}
    for at, held in enumerate(instance) if schema.get("uniqueItems") else ():
        before = seen.get(key(held))
        if before is not None:
            yield mismatch("unique", f"array items[{before},{at}] must be unique")
        seen[key(held)] = at


def _required(validator: Any, schema: Any, instance: Any) -> Errors:
    for name in schema.get("required", ()):
        yield score(1) if name in instance else mismatch("required", f"{name} is required")


def _multiple(validator: Any, schema: Any, instance: Any) -> Errors:
    step = schema.get("multipleOf")
    if step is not None and Fraction(exact(instance)) % Fraction(exact(step)):
        yield mismatch("multiple_of", f"Must be a multiple of {_written(step)}")


def _pattern(validator: Any, schema: Any, instance: Any) -> Errors:
    if "pattern" in schema and not finds(schema["pattern"], instance):
        yield mismatch("pattern", f"Does not match pattern '{schema['pattern']}'")


def _const(validator: Any, schema: Any, instance: Any) -> Errors:
    if "const" in schema and not equal(instance, schema["const"]):
        yield mismatch("const", f"does not match: {encode(schema['const'])}")


def _enum(validator: Any, schema: Any, instance: Any) -> Errors:
    if "enum" in schema and not any(equal(instance, one) for one in schema["enum"]):
        yield mismatch("enum", f"must be one of the following: {', '.join(map(encode, schema['enum']))}")


def _format(validator: Any, schema: Any, instance: Any) -> Errors:
    if "format" in schema and type(instance) is str and not fits(schema["format"], instance):
        yield mismatch("format", f"Does not match format '{schema['format']}'")


def _limits(keyword: str, beyond: _Beyond, reached: _Beyond, kinds: tuple[str, str], words: str) -> Keyword:
    """A limit and its exclusive form, which is a number of its own or, in draft 4, a flag."""

    def check(validator: Any, schema: Any, instance: Any) -> Errors:
        limit, exclusive = schema.get(keyword), schema.get(f"exclusive{keyword.title()}")
        if type(exclusive) is bool:
            limit, exclusive = (None, limit) if exclusive else (limit, None)
        if limit is not None and beyond(instance, limit):
            yield mismatch(kinds[0], f"Must be {words} than or equal to {_written(limit)}")
        if exclusive is not None and reached(instance, exclusive):
            yield mismatch(kinds[1], f"Must be {words} than {_written(exclusive)}")

    return check


def _size(keyword: str, beyond: _Beyond, kind: str, words: str) -> Keyword:
    def check(validator: Any, schema: Any, instance: Any) -> Errors:
        if keyword in schema and beyond(len(instance), schema[keyword]):
            yield mismatch(kind, words.format(schema[keyword]))

    return check


def _written(value: Any) -> str:
    sign, digits, exponent = Decimal(exact(value)).as_tuple()
    text = "".join(map(str, digits))
    shown = general(text.rstrip("0"), len(text) + int(exponent)) if value else "0"
    return f"-{shown}" if sign else shown


OF_ARRAYS: Final[tuple[Keyword, ...]] = (
    _size("minItems", less, "array_min_items", "Array must have at least {} items"),
    _size("maxItems", greater, "array_max_items", "Array must have at most {} items"),
    _unique,
)
OF_OBJECTS: Final[tuple[Keyword, ...]] = (
    _size("minProperties", less, "array_min_properties", "Must have at least {} properties"),
    _size("maxProperties", greater, "array_max_properties", "Must have at most {} properties"),
    _required,
)
OF_NUMBERS: Final[tuple[Keyword, ...]] = (
    _multiple,
    _limits("maximum", greater, greater_or_equal, ("number_lte", "number_lt"), "less"),
    _limits("minimum", less, less_or_equal, ("number_gte", "number_gt"), "greater"),
)
OF_STRINGS: Final[tuple[Keyword, ...]] = (
    _size("minLength", less, "string_gte", "String length must be greater than or equal to {}"),
    _size("maxLength", greater, "string_lte", "String length must be less than or equal to {}"),
    _pattern,
)
OF_ANY: Final[tuple[Keyword, ...]] = (_const, _enum, _format)
