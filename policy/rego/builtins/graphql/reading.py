"""Queries and schemas as policies have them: text, or data in the shape of `records`. Imports `graphql-core`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from graphql import GraphQLSchema
from graphql.language import ast

from policy.rego.builtins.graphql import documents, nodes, records, validity
from policy.rego.builtins.graphql.comments import copied
from policy.rego.builtins.partial import mapping, string
from policy.rego.json_text import decode, encode

MAX_KEPT = 1_000_000  # characters of a schema that is kept for the next time


class Schema(NamedTuple):
    """A valid schema: as `graphql-core` has it, and as data."""

    types: GraphQLSchema
    record: dict[str, Any]


def query(value: Any) -> ast.DocumentNode:
    """A document of operations and fragments. Raises ValueError."""
    return documents.query(value) if type(value) is str else nodes.query(mapping(value))


def schema(value: Any) -> Schema:
    """A schema. Raises ValueError."""
    text = value if type(value) is str else encode(mapping(value))
    return (_kept if len(text) <= MAX_KEPT else _read)(text, type(value) is str)


def _read(text: str, is_text: bool) -> Schema:
    """Of a text, or of the JSON of data."""
    given = {} if is_text else mapping(decode(text))
    document = documents.schema(text) if is_text else nodes.schema(given)
    return Schema(validity.schema(document), copied(records.schema(document), given))


_kept = lru_cache(maxsize=16)(_read)


def fitting(query_given: Any, schema_given: Any) -> list[Any]:
    """`[query, schema]` as data. Raises ValueError if the query does not fit the schema."""
    document, found = query(query_given), schema(schema_given)
    record = copied(records.query(document), query_given)
    if not validity.fits(found.types, document):
        raise ValueError("the query does not fit the schema")
    return [record, found.record]


def query_record(text: Any) -> dict[str, Any]:
    """A query's text as data. Raises ValueError."""
    return records.query(documents.query(string(text)))


def schema_record(text: Any) -> dict[str, Any]:
    """A schema's text as data; it need not be valid. Raises ValueError."""
    return records.schema(documents.schema(string(text)))
