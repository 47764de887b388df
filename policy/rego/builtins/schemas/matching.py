"""Matching documents with schemas through `jsonschema`, which walks through both and follows references. What each
keyword asks, and the words for what does not match, are OPA's; so is which alternative's errors are told where none of
several matches: the one that scores most.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from jsonschema import Draft7Validator, TypeChecker, ValidationError
from jsonschema.validators import create

from policy.rego.builtins.arithmetic import number
from policy.rego.builtins.schemas.assertions import (
    OF_ANY,
    OF_ARRAYS,
    OF_NUMBERS,
    OF_OBJECTS,
    OF_STRINGS,
    Errors,
    Keyword,
    failed,
    finds,
    mismatch,
    points,
    score,
)
from policy.rego.builtins.schemas.syntax import FALSE
from policy.rego.numerals import exact


def _below(validator: Any, instance: Any, schema: Any, path: str | int | None = None) -> Errors:
    """Errors of what lies at a key or an index, or of the instance itself."""
    if schema is False:
        yield ValidationError(FALSE, validator="false", path=() if path is None else (path,))
    else:
        yield from validator.descend(instance, schema, path=path)


def _match(validator: Any, schema: Any, instance: Any, _: Any) -> Errors:
    given = _type(instance)
    names = [schema["type"]] if type(schema.get("type")) is str else schema.get("type", [])
    if names and given not in names and not (given == "integer" and "number" in names):
        expected = names[0] if len(names) == 1 else f"[{','.join(names)}]"
        yield mismatch("invalid_type", f"Invalid type. Expected: {expected}, given: {given}")
        return
    for keywords in (_COMBINING, _BEFORE.get(given, ()), OF_ANY, _AFTER.get(given, ())):
        for check in keywords:
            yield from check(validator, schema, instance)
    yield score(3 if given in ("boolean", "null") else 4)


def _type(instance: Any) -> str:
    if number(instance):
        return "integer" if Fraction(exact(instance)).denominator == 1 else "number"
    return _TYPES[type(instance)]


def _any_of(validator: Any, schema: Any, instance: Any) -> Errors:
    found = [list(_below(validator, instance, one)) for one in schema.get("anyOf", ())]
    if found and all(map(failed, found)):
        yield mismatch("number_any_of", "Must validate at least one schema (anyOf)")
        yield from max(found, key=points)


def _one_of(validator: Any, schema: Any, instance: Any) -> Errors:
    found = [list(_below(validator, instance, one)) for one in schema.get("oneOf", ())]
    matching = len(found) - sum(map(failed, found))
    if found and matching != 1:
        yield mismatch("number_one_of", "Must validate one and only one schema (oneOf)")
        yield from () if matching else max(found, key=points)


def _all_of(validator: Any, schema: Any, instance: Any) -> Errors:
    found = [one for each in schema.get("allOf", ()) for one in _below(validator, instance, each)]
    yield from found
    if failed(found):
        yield mismatch("number_all_of", "Must validate all the schemas (allOf)")


def _not(validator: Any, schema: Any, instance: Any) -> Errors:
    if "not" in schema and not failed(_below(validator, instance, schema["not"])):
        yield mismatch("number_not", "Must not validate the schema (not)")


def _dependencies(validator: Any, schema: Any, instance: Any) -> Errors:
    asked = schema.get("dependencies", {})
    for name in sorted(asked.keys() & instance.keys()) if type(instance) is dict else ():
        if type(asked[name]) is not list:
            yield from _below(validator, instance, asked[name])
            continue
        for missing in asked[name]:
            if missing not in instance:
                yield mismatch("missing_dependency", f"Has a dependency on {missing}")


def _condition(validator: Any, schema: Any, instance: Any) -> Errors:
    if "if" not in schema:
        return
    holds = not failed(_below(validator, instance, schema["if"]))
    branch, result = ("then", "valid") if holds else ("else", "not valid")
    found = list(_below(validator, instance, schema.get(branch, True)))
    if failed(found):
        yield mismatch(f"condition_{branch}", f'Must validate "{branch}" as "if" was {result}')
        yield from found


def _items(validator: Any, schema: Any, instance: Any) -> Errors:
    items = schema.get("items", True)
    if type(items) is not list:
        for at, held in enumerate(instance):
            yield from _below(validator, held, items, path=at)
        return
    for at, (one, held) in enumerate(zip(items, instance, strict=False)):
        yield from _below(validator, held, one, path=at)
    more = schema.get("additionalItems", True) if items else True
    if more is False and len(instance) > len(items):
        yield mismatch("array_no_additional_items", "No additional items allowed on array")
    elif more is not False:
        for at, held in enumerate(instance[len(items) :], len(items)):
            yield from _below(validator, held, more, path=at)


def _contains(validator: Any, schema: Any, instance: Any) -> Errors:
    if "contains" not in schema:
        return
    found = [list(_below(validator, held, schema["contains"], path=at)) for at, held in enumerate(instance)]
    if all(map(failed, found)):
        yield mismatch("contains", "At least one of the items must match")
        yield from max(found, key=points, default=())


def _additional(validator: Any, schema: Any, instance: Any) -> Errors:
    patterns, more = schema.get("patternProperties", {}), schema.get("additionalProperties", True)
    for name in sorted(instance) if patterns or more is not True else ():
        matching = [one for pattern, one in patterns.items() if finds(pattern, name)]
        for one in matching:
            yield from _below(validator, instance[name], one, path=name)
        if matching:
            yield score(1)
        if matching or name in schema.get("properties", {}):
            continue
        if more is False:
            yield mismatch("additional_property_not_allowed", f"Additional property {name} is not allowed")
        else:
            yield from _below(validator, instance[name], more, path=name)


def _property_names(validator: Any, schema: Any, instance: Any) -> Errors:
    for name in sorted(instance) if "propertyNames" in schema else ():
        errors = list(_below(validator, name, schema["propertyNames"]))
        if failed(errors):
            yield mismatch("invalid_property_name", f'Property name of "{name}" does not match')
            yield from errors


def _properties(validator: Any, schema: Any, instance: Any) -> Errors:
    for name, one in sorted(schema.get("properties", {}).items()):
        if name in instance:
            yield from _below(validator, instance[name], one, path=name)


_TYPES: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    str: "string",
    list: "array",
    dict: "object",
}
_COMBINING: Final[tuple[Keyword, ...]] = (_any_of, _one_of, _all_of, _not, _dependencies, _condition)
_BEFORE: Final[dict[str, tuple[Keyword, ...]]] = {
    "array": (_items, *OF_ARRAYS, _contains),
    "object": (*OF_OBJECTS, _additional, _property_names),
    **dict.fromkeys(("integer", "number"), OF_NUMBERS),
}
_AFTER: Final[dict[str, tuple[Keyword, ...]]] = {"object": (_properties,), "string": OF_STRINGS}


def _applicable(schema: Any) -> list[tuple[str, Any]]:
    """A reference stands in for all other keywords."""
    return [("$ref", schema["$ref"])] if "$ref" in schema else [("match", schema)]


Matcher: Final = create(
    meta_schema={"$id": "http://json-schema.org/draft-07/schema#"},
    validators={"$ref": Draft7Validator.VALIDATORS["$ref"], "match": _match},
    type_checker=TypeChecker(),
    applicable_validators=_applicable,
)
