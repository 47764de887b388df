"""graphql.*: documents as data in the shape of OPA's parser, and which are valid."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.rego.builtins import BUILTINS
from policy.rego.values import UNDEFINED
from tests.policy.opa_answers import opa_answers

SCHEMA = '''
# leading
"""
  A bank's account
    and its owner
"""
# kept
type Account implements Node @key(fields: "id") { # of the field
  id: ID!
  "in cents" balance(at: Int = 5, in: [Currency!]! = [CHF]): Int @deprecated
  owner: Owner
  # end
}
interface Node { id: ID! }
enum Currency { "franc" CHF EUR @deprecated(reason: "old") }
union Owner = | Person | Company
type Person { name: String }
extend type Company @key(fields: "name") { name: String }
input Filter { least: Int = 0, inner: Filter, tags: [String] = ["a", "b"] }
scalar Date @specifiedBy(url: "https://bank.example/date")
directive @key(fields: String!) repeatable on OBJECT | INTERFACE
schema { query: Root }
type Root { account(id: ID!, filter: Filter, currency: Currency): Account }
# trailing
'''
QUERIES = [
    "{ account(id: 1) { id } }",
    """
    # the query
    query Q($id: ID! = "x", $ccy: [Currency!]) { # of the account
      mine: account(id: $id, filter: {least: -1, tags: ["a", \"""b\"""]}, currency: EUR) @skip(if: false) {
        ...F ... on Account @include(if: true) { balance(in: $ccy) } ... { owner { __typename } }
      }
    }
    fragment F on Account { owner { ... on Person { name } } }
    """,
    "{ account { id } }",
    "{ account(id: 1) }",
    "{ account(id: 1) { id { x } } }",
    "{ account(id: 1) { ...G } } fragment G on Person { name }",
    "query A { account(id: 1) { id } } query A { account(id: 2) { id } }",
    "mutation { account(id: 1) { id } }",
    "{ account(id: 1, id: 2) { nope } }",
    "fragment F($x: Int = 1) on Account { balance(at: $x) } { account(id: 1) { ...F } }",
    "subscription { a } { b }",
    "{",
    "{ }",
    "type A { b: Int }",
    '"described" query { a }',
    "",
]
SCHEMAS = [
    SCHEMA,
    "type A { a: B }",
    "type A implements I { a: Int } interface I { a: Int! }",
    "type A { a: Int a: Int }",
    "extend type Query { a: Int } extend type Query { b: Int }",
    "input I { i: I! }",
    "union U = Int",
    "enum E { A A }",
    "scalar Int",
    "type A { a: Int @nope }",
    "schema { query: Nope }",
    "type A { __a: Int }",
    "type A",
    "directive @a(x: Int) on FIELD | FIELD_DEFINITION type Q { q(x: Int = 1): Int @a(x: 2) }",
    "{ a }",
    "",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 9)
    | st.text(max_size=4)
    | st.sampled_from(["A", "OBJECT", "query", "Int"]),
    lambda one: (
        st.lists(one, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["Operations", "Definitions", "SelectionSet", "Fields", "Name", "Kind", "Operation", "Type"]
            ),
            one,
        )
    ),
)


def call(name: str, *arguments: Any) -> Any:
    return BUILTINS[f"graphql.{name}"](*arguments)


def test_a_query_as_data() -> None:
    argument = {"Name": "id", "Value": {"Kind": 1, "Raw": "1", "ExpectedTypeHasDefault": False}}
    inner = [{"Alias": "id", "Name": "id"}]
    account = {"Alias": "account", "Name": "account", "Arguments": [argument], "SelectionSet": inner}
    assert call("parse_query", QUERIES[0]) == {
        "Operations": [{"Name": "", "Operation": "query", "SelectionSet": [account]}]
    }


@pytest.mark.parametrize("query", QUERIES[:2])
def test_valid_queries_and_their_data(query: str) -> None:
    assert call("is_valid", query, SCHEMA)
    found = [call("parse_query", query), call("parse_schema", SCHEMA)]
    assert call("parse", query, SCHEMA) == found
    assert call("parse_and_verify", query, found[1]) == [True, *found]


@pytest.mark.parametrize("query", QUERIES[2:9])
def test_queries_that_are_not_valid(query: str) -> None:
    assert not call("is_valid", query, SCHEMA)
    assert call("parse", query, SCHEMA) is UNDEFINED
    assert call("parse_and_verify", query, SCHEMA) == [False, {}, {}]


def test_a_name_in_data_is_a_name_and_nothing_else() -> None:
    field = {"Name": "account(id: 1) { id }", "Alias": "a"}
    query = {"Operations": [{"Operation": "query", "SelectionSet": [field]}]}
    assert not call("is_valid", query, SCHEMA)
    assert not call("schema_is_valid", {"Definitions": [{"Kind": "SCALAR", "Name": "A scalar B"}]})


@pytest.mark.parametrize(
    "query", ["{" * 5000, "{a" * 5000 + "}" * 5000, "{" + "a " * 30_000 + "}", "{a(x:" + "[" * 9000]
)
def test_documents_beyond_the_limits_are_not_valid(query: str) -> None:
    assert not call("is_valid", query, SCHEMA)
    assert call("parse_query", query) is UNDEFINED


@given(JSON, JSON)
def test_nothing_raises(one: Any, other: Any) -> None:
    assert call("is_valid", one, other) is call("parse_and_verify", one, other)[0]
    assert call("schema_is_valid", other) in (True, False)
    for name in ("parse_query", "parse_schema"):
        call(name, one)
    call("parse", one, other)


def test_opa_answers_the_same() -> None:
    assert [call("parse_query", one) for one in QUERIES] == opa_answers(
        "graphql.parse_query", [[one] for one in QUERIES]
    )
    for name in ("parse_schema", "schema_is_valid"):
        assert [call(name, one) for one in SCHEMAS] == opa_answers(f"graphql.{name}", [[one] for one in SCHEMAS]), name
    schemas: list[Any] = [SCHEMA, SCHEMAS[4], "", 5, {}]
    pairs: list[list[Any]] = [[query, schema] for query in QUERIES for schema in schemas]
    pairs += [[call("parse_query", QUERIES[0]), call("parse_schema", SCHEMA)]]
    for name in ("is_valid", "parse", "parse_and_verify"):
        assert [call(name, *one) for one in pairs] == opa_answers(f"graphql.{name}", pairs), name
