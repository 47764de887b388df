"""GraphQL (October 2021): documents as data, and whether they are valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.rego.builtins.partial import undefined_on

_WRONG = (ValueError, RecursionError)


def _reading() -> Any:
    """What reads documents; `graphql-core` is imported when the first one is read."""
    from policy.rego.builtins.graphql import reading

    return reading


@undefined_on(*_WRONG)
def parse(query: Any, schema: Any) -> Any:
    """`[query, schema]` as data, of texts or data; undefined if the query does not fit the schema."""
    return _reading().fitting(query, schema)


def parse_and_verify(query: Any, schema: Any) -> Any:
    """`[true, query, schema]` as data, or `[false, {}, {}]`."""
    try:
        return [True, *_reading().fitting(query, schema)]
    except _WRONG:
        return [False, {}, {}]


@undefined_on(*_WRONG)
def parse_query(query: Any) -> Any:
    """A query's text as data."""
    return _reading().query_record(query)


@undefined_on(*_WRONG)
def parse_schema(schema: Any) -> Any:
    """A schema's text as data; whether it is valid is not asked."""
    return _reading().schema_record(schema)


def is_valid(query: Any, schema: Any) -> bool:
    """Whether a query fits a schema, each a text or data."""
    return bool(parse_and_verify(query, schema)[0])


def schema_is_valid(schema: Any) -> bool:
    """Whether a schema, text or data, is one."""
    try:
        _reading().schema(schema)
    except _WRONG:
        return False
    return True


BUILTINS: dict[str, Callable[..., Any]] = {
    "graphql.is_valid": is_valid,
    "graphql.parse": parse,
    "graphql.parse_and_verify": parse_and_verify,
    "graphql.parse_query": parse_query,
    "graphql.parse_schema": parse_schema,
    "graphql.schema_is_valid": schema_is_valid,
}
