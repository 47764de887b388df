"""From a document to what matches with it. The document is brought into one form for all drafts first."""

from __future__ import annotations

from typing import Any, Final

from jsonschema.protocols import Validator
from jsonschema_specifications import REGISTRY as SPECIFICATIONS  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import DRAFT7

from policy.rego.builtins.schemas.checking import Walk
from policy.rego.builtins.schemas.matching import Matcher
from policy.rego.builtins.schemas.syntax import ANY_DRAFT, SINCE

_DRAFTS: Final = {f"http://json-schema.org/draft-0{number}/schema": number for number in (4, 6, 7)}
_NAMED: Final = ("definitions", "dependencies", "patternProperties", "properties")  # schemas by names of any kind
_LITERAL: Final = ("const", "default", "enum", "examples")
_NAMES: Final = ("$schema", "$id", "id")


class InvalidSchema(ValueError):
    """A document is no schema; the message is OPA's."""


def compile_schema(document: Any) -> Validator:
    """What matches with a schema. Raises InvalidSchema."""
    draft = _draft(document)
    schema = _normal(document, draft)
    resolver = _KNOWN.resolver_with_root(DRAFT7.create_resource(schema))
    for fault in Walk(draft, DRAFT7).faults(schema, resolver):
        raise InvalidSchema(fault)
    return Matcher(schema, registry=_KNOWN)


def _draft(document: Any) -> int:
    if type(document) not in (bool, dict):
        raise InvalidSchema("schema is invalid")
    named = document.get("$schema", "") if type(document) is dict else ""
    if type(named) is not str:
        raise InvalidSchema("$schema must be of type string")
    return _DRAFTS.get(named.removesuffix("#"), ANY_DRAFT)


def _normal(schema: Any, draft: int) -> Any:
    """A copy with `$id` for `id`, and without what is newer than the draft or does not count."""
    if type(schema) is list:
        return [_normal(one, draft) for one in schema]
    if type(schema) is not dict:
        return schema
    counting = [name for name in schema if name not in _NAMES and SINCE.get(name, 4) <= draft]
    return _identity(schema, draft) | {name: _held(name, schema[name], draft) for name in counting}


def _identity(schema: dict[str, Any], draft: int) -> dict[str, str]:
    keyword = "id" if draft == 4 or (draft == ANY_DRAFT and "id" in schema) else "$id"
    if type(schema.get(keyword, "")) is not str:
        raise InvalidSchema(f"Invalid type. Expected: string, given: {keyword}")
    return {"$id": schema[keyword]} if keyword in schema else {}


def _held(name: str, value: Any, draft: int) -> Any:
    if name in _LITERAL:
        return value
    if name in _NAMED and type(value) is dict:
        return {one: _normal(held, draft) for one, held in value.items()}
    return _normal(value, draft)


def _known() -> Registry[Any]:
    """The schemas of the drafts, in the one form too: with its own the library would match by its own rules."""
    contents = [(uri, SPECIFICATIONS.contents(f"{uri}#"), draft) for uri, draft in _DRAFTS.items()]
    return Registry().with_contents(
        [(uri, _normal(schema, draft)) for uri, schema, draft in contents], default_specification=DRAFT7
    )


_KNOWN: Final = _known()
