"""Which part of a message is signed: a component's name and parameters (RFC 9421 sections 2.1 and 2.2)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.identity.signatures.fields import member

_FIELD = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]{1,128}\Z")  # a field's name in lower case
_DERIVED = frozenset({"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"})
_FLAGS = frozenset({"sf", "bs"})


class Component(msgspec.Struct, frozen=True):
    """A component identifier. Its parameters are checked: text for `key` and `name`, True for `sf` and `bs`."""

    name: str
    parameters: dict[str, Any]

    @property
    def whole(self) -> str:
        """The name, if the component is all that goes by it; else nothing."""
        return self.name if self.parameters.keys() <= _FLAGS else ""

    @property
    def identity(self) -> tuple[str, frozenset[tuple[str, Any]]]:
        """What may be there once only: the order of parameters does not tell two apart (section 2)."""
        return self.name, frozenset(self.parameters.items())

    def __str__(self) -> str:
        return member((self.name, self.parameters))


def component(item: Any) -> Component:
    """A component from a structured field's item. Raises ValueError for one that a request does not have."""
    name, parameters = item
    if type(name) is not str:
        raise ValueError("a component's name is no string")
    if name.startswith("@"):
        _check_derived(name, parameters)
    else:
        _check_field(name, parameters)
    return Component(name, parameters)


def _check_derived(name: str, parameters: dict[str, Any]) -> None:
    if name == "@query-param":
        if parameters.keys() != {"name"} or type(parameters["name"]) is not str:
            raise ValueError("@query-param wants a name and nothing else")
    elif name not in _DERIVED:
        raise ValueError(f"a request has no {name}")
    elif parameters:
        raise ValueError(f"{name} takes no parameters")


def _check_field(name: str, parameters: dict[str, Any]) -> None:
    # `tr` would be a trailer, which comes after we have answered, and `req` a request's part signed with its response.
    if not _FIELD.match(name):
        raise ValueError(f"{name!r} is no field name in lower case")
    for parameter, value in parameters.items():
        if not (parameter in _FLAGS and value is True) and not (parameter == "key" and type(value) is str):
            raise ValueError(f"parameter {parameter} of {name} is not known here")
    if "bs" in parameters and len(parameters) > 1:
        raise ValueError(f"bs stands alone, but not on {name}")
