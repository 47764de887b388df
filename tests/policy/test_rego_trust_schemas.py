"""json.match_schema and json.verify_schema: what is a schema, what matches, and the words for what does not."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.rego.builtins import BUILTINS
from policy.rego.values import UNDEFINED, RegoSet
from tests.policy.opa_answers import opa_answers

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
match, verify = BUILTINS["json.match_schema"], BUILTINS["json.verify_schema"]
KEYWORDS = (
    "type",
    "properties",
    "items",
    "minimum",
    "exclusiveMinimum",
    "pattern",
    "enum",
    "anyOf",
    "not",
    "$ref",
    "$id",
)
VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3)
DOCUMENTS = st.recursive(
    VALUES, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), one, max_size=3)
)

SCHEMAS: list[Any] = [
    {"type": "object", "required": ["id", "name"], "properties": {"id": {"type": "integer", "minimum": 1}}},
    {"properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": False},
    {"patternProperties": {"^a": {"maximum": 3, "exclusiveMaximum": True}}, "minProperties": 2},
    {"items": [{"type": "string"}, {"multipleOf": 0.5}], "additionalItems": {"const": 7}, "uniqueItems": True},
    {"contains": {"type": "integer"}, "maxItems": 2},
    {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 3}]},
    {"oneOf": [{"properties": {"a": {"const": 9}, "b": {"type": "null"}}}, {"required": ["a", "c"]}, {"type": "null"}]},
    {"anyOf": [{"items": {"type": "string"}}, {"contains": {"minimum": 9}}, {"patternProperties": {"a": {"not": {}}}}]},
    {"oneOf": [{"type": "object"}, {"required": ["a"]}]},
    {"allOf": [{"required": ["a"]}, {"required": ["b"]}], "not": {"required": ["c"]}},
    {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"enum": [[], "x", 1.5]}},
    {"dependencies": {"a": ["b", "c"], "b": {"propertyNames": {"maxLength": 1}}}},
    {"$ref": "#/definitions/tree", "definitions": {"tree": {"properties": {"a": {"$ref": "#/definitions/tree"}}}}},
    {
        "$id": "http://bank.example/s",
        "allOf": [{"$ref": "leaf"}],
        "definitions": {"x": {"$id": "leaf", "type": "array"}},
    },
    {"$schema": "http://json-schema.org/draft-04/schema#", "const": 1, "minimum": 1, "exclusiveMinimum": True},
    {"$ref": DRAFT_7},
    '{"properties": {"a": {"format": "date-time"}}}',
    "false",
]
INSTANCES: list[Any] = [
    *(
        {},
        {"id": 0},
        {"id": 1, "name": "x"},
        {"a": 1, "b": 2},
        {"a": "x", "ab": 3},
        {"a": {"a": {"a": None}}},
        {"c": 1},
    ),
    *([], ["x", 0.5, 7], ["x", 0.7, 8], [1, 1.0], ["a", "b", "c"], {"a": "2020-01-01T00:00:00Z"}, {"a": "2020-02-30"}),
    *("1", "1.0", "[]", "{", "null", 5, None, True),
]
NONE_SCHEMAS: list[Any] = [
    *(
        {"type": "text"},
        {"type": ["string", "string"]},
        {"minLength": -1},
        {"minLength": 2, "maxLength": 1},
        {"items": 5},
    ),
    *({"pattern": "(?=x)"}, {"enum": [1, 1.0]}, {"required": ["a", "a"]}, {"multipleOf": 0}, {"properties": {"a": 5}}),
    *({"exclusiveMinimum": True}, {"$ref": "#/nowhere"}, {"$ref": 5}, {"$id": 5}, {"$schema": 5}, {"uniqueItems": "x"}),
    *({"dependencies": {"a": [5]}}, {"oneOf": {}}, {"not": []}, {"minimum": "x"}, [], "5", "{", "null", 5, None),
]


def test_errors_are_told_in_opas_words() -> None:
    assert match({"id": "foo"}, {"properties": {"id": {"type": "integer"}}}) == [
        False,
        [
            {
                "desc": "Invalid type. Expected: integer, given: string",
                "error": "id: Invalid type. Expected: integer, given: string",
                "field": "id",
                "type": "invalid_type",
            }
        ],
    ]
    assert match({"id": 5}, {"properties": {"id": {"type": "integer"}}}) == [True, []]
    assert (
        match({"ids": RegoSet([2, 1])}, {"properties": {"ids": {"type": "array", "items": {"minimum": 1}}}})[0] is True
    )


def test_big_and_precise_numbers_are_compared_as_they_are() -> None:
    assert match("[12345678901234567891, 0.3]", {"items": {"multipleOf": 0.1}})[0] is True
    assert match("[1e400]", {"items": {"maximum": 1e300}})[0] is False
    assert match("[9007199254740993]", {"items": {"enum": [9007199254740992]}})[0] is False


@pytest.mark.parametrize(
    "reference", ["http://127.0.0.1/s", "https://127.0.0.1/s#/a", "file:///etc/hostname", "s.json"]
)
def test_nothing_is_fetched(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verify({}) == [True, None]  # reads the schemas of the drafts, once

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a schema reached outside")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(Path, "open", refused)
    verified, reason = verify({"properties": {"a": {"$ref": reference}}})
    assert not verified
    assert reference in reason
    assert match({}, {"properties": {"a": {"$ref": reference}}}) is UNDEFINED


def test_what_a_literal_says_of_its_draft_changes_nothing() -> None:
    literal = {
        "default": {"properties": {"a": {"$schema": DRAFT_7, "type": "string"}}},
        "allOf": [{"$ref": "#/default"}],
    }
    assert verify(literal)[0] is False
    assert match({"a": 5}, literal) is UNDEFINED
    assert match({"$schema": DRAFT_7, "a": 5}, {"properties": {"a": {"type": "string"}}})[0] is False


def test_a_reference_to_itself_is_undefined() -> None:
    assert match({}, {"$ref": "#"}) is UNDEFINED


@given(DOCUMENTS, DOCUMENTS)
def test_nothing_raises(document: Any, schema: Any) -> None:
    verified = verify(schema)
    found = match(document, schema)
    assert verified[0] or found is UNDEFINED
    if type(schema) in (list, dict):
        assert verify(json.dumps(schema))[0] is verified[0]


def test_opa_answers_the_same() -> None:
    asked = [[schema] for schema in [*SCHEMAS, *NONE_SCHEMAS]]
    assert [verify(*one) for one in asked] == opa_answers("json.verify_schema", asked)
    calls = [[instance, schema] for instance in INSTANCES for schema in [*SCHEMAS, *NONE_SCHEMAS]]
    assert [_sorted(match(*one)) for one in calls] == list(map(_sorted, opa_answers("json.match_schema", calls)))


def _sorted(found: Any) -> Any:
    """Errors in one order: OPA's own is random among the properties of an object."""
    return found if found is UNDEFINED else [found[0], sorted(found[1], key=lambda error: sorted(error.items()))]
