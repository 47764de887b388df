"""Comments of GraphQL documents. Those before a part of a document belong to it, as OPA's parser has it."""

from __future__ import annotations

from typing import Any

from graphql import Node, Token, TokenKind

NAMES = ("Comment", "BeforeDescriptionComment", "AfterDescriptionComment", "EndOfDefinitionComment")


def copied(record: Any, given: Any) -> Any:
    """A record with the comments of the data that it was made from."""
    if type(record) is list and type(given) is list:
        return [copied(one, other) for one, other in zip(record, given, strict=True)]
    if type(record) is not dict or type(given) is not dict:
        return record
    held = {name: copied(one, given.get(name)) for name, one in record.items()}
    return held | {name: given[name] for name in NAMES if given.get(name)}


def before(token: Token | None) -> Any:
    """The comments right before a token; None if there are none."""
    found = []
    one = token.prev if token else None
    while one is not None and one.kind is TokenKind.COMMENT:
        found.append({"Value": f"#{one.value}"})
        one = one.prev
    return {"List": found[::-1]} if found else None


def start(node: Node | None) -> Token | None:
    """The first token of a node; None if it was not read from a text."""
    return node.loc.start_token if node and node.loc else None


def keyword(node: Any) -> Token | None:
    """The first token of a definition after its description."""
    if not node.description:
        return start(node)
    token = node.description.loc.end_token.next if node.description.loc else None
    while token is not None and token.kind is TokenKind.COMMENT:
        token = token.next
    return token


def operation(node: Node) -> Token | None:
    """The first token of an operation, unless it is a brace: comments before that one are lost."""
    first = start(node)
    return None if first is None or first.kind is TokenKind.BRACE_L else first


def closing(node: Node) -> Token | None:
    """The brace that ends a node, if it ends with one."""
    end = node.loc.end_token if node.loc else None
    return end if end is not None and end.kind is TokenKind.BRACE_R else None
