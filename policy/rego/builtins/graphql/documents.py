"""GraphQL texts as documents of one kind: operations and fragments, or types and directives."""

from __future__ import annotations

from typing import Final

from graphql import GraphQLError, parse
from graphql.language import ast

from policy.rego.builtins.operands import legible

MAX_QUERY_TOKENS: Final = 20_000  # how a query is validated takes time that grows faster than its size
MAX_SCHEMA_TOKENS: Final = 200_000
_EXECUTABLE: Final = (ast.OperationDefinitionNode, ast.FragmentDefinitionNode)
_EMPTY: Final = str.maketrans("", "", " \t\r\n,\ufeff")


def query(text: str) -> ast.DocumentNode:
    """A document of operations and fragments; an empty one of an empty text. Raises ValueError."""
    document = _parsed(text, MAX_QUERY_TOKENS)
    if not all(isinstance(one, _EXECUTABLE) and not one.description for one in document.definitions):
        raise ValueError("not an operation or fragment")
    return document


def schema(text: str) -> ast.DocumentNode:
    """A document of types, directives and entry points; an empty one of an empty text. Raises ValueError."""
    document = _parsed(text, MAX_SCHEMA_TOKENS)
    if any(isinstance(one, _EXECUTABLE) for one in document.definitions):
        raise ValueError("not a type, directive or schema")
    return document


def _parsed(text: str, tokens: int) -> ast.DocumentNode:
    lines = (line.partition("#")[0] for line in text.split("\n"))
    if not any(line.translate(_EMPTY) for line in lines):
        return ast.DocumentNode(definitions=())
    try:
        return parse(
            legible(text), max_tokens=tokens, experimental_fragment_arguments=True, allow_empty_selection_sets=False
        )
    except GraphQLError as error:
        raise ValueError(error.message) from error
