"""Whether a document is a schema, and OPA's words for why it is none. What a reference points to must lie in the
document or be the schema of a draft.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from referencing import Specification
from referencing.exceptions import PointerToNowhere, Unresolvable

from policy.rego.builtins import urls
from policy.rego.builtins.schemas.syntax import NO_SCHEMA, Check, Faults, after_reference, before_reference
from policy.rego.values import UNDEFINED

Resolver = Any  # the library's has no public name


class Walk:
    """A walk through a schema of one draft, in the order in which OPA reads it; references are followed afterwards."""

    def __init__(self, draft: int, specification: Specification[Any]):
        self._draft = draft
        self._specification = specification
        self._references: list[tuple[str, Resolver]] = []

    def faults(self, schema: Any, resolver: Resolver) -> Faults:
        """What is wrong with a schema and with those that it refers to, the first thing first."""
        yield from self._schema(schema, resolver)
        seen: set[int] = set()
        for reference, within in self._references:  # which grows while it is walked
            try:
                found = within.lookup(reference)
            except (Unresolvable, ValueError, AttributeError, TypeError) as error:  # the latter of what is no schema
                yield _unresolved(reference, error)
                return
            if type(found.contents) not in (bool, dict):
                yield "Valid Schema must be of type object"
            elif id(found.contents) not in seen:
                seen.add(id(found.contents))
                yield from self._schema(found.contents, found.resolver)

    def _schema(self, schema: Any, resolver: Resolver) -> Faults:
        if type(schema) is bool and self._draft >= 6:
            return
        if type(schema) is not dict:
            yield NO_SCHEMA
            return
        if "$schema" in schema:  # within a literal that something refers to; the library would match by its own rules
            yield "$schema must not be given within a schema"
        resolver = resolver.in_subresource(self._specification.create_resource(schema))
        yield from self._keywords(before_reference(), schema, resolver)
        if "$ref" in schema:
            self._references.append((schema["$ref"], resolver))
        else:
            yield from self._keywords(after_reference(self._draft), schema, resolver)

    def _keywords(self, keywords: Mapping[str, Check], schema: dict[str, Any], resolver: Resolver) -> Faults:
        for keyword, check in keywords.items():
            if keyword in schema:
                yield from check(schema[keyword], keyword, schema, lambda below: self._schema(below, resolver))


def _unresolved(reference: str, error: Exception) -> str:
    if isinstance(error, PointerToNowhere):
        return f"Object has no key '{_missing(error.resource.contents, reference.partition('#')[2])}'"
    parts = urls.parse(reference)
    if parts is UNDEFINED:
        return f'parse "{reference}": invalid URL'
    if "scheme" in parts:
        return f"remote reference loading disabled: {reference}"
    return f"Reference /{reference} must be canonical"


def _missing(document: Any, pointer: str) -> str:
    """The first step of a pointer (RFC 6901) that leads nowhere."""
    for step in _steps(pointer):
        if type(document) is not dict or step not in document:
            return step
        document = document[step]
    return pointer


def _steps(pointer: str) -> Iterator[str]:
    for step in pointer.split("/")[1:]:
        yield step.replace("~1", "/").replace("~0", "~")
