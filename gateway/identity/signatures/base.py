"""The signature base (RFC 9421 section 2.5): the exact bytes that a signature is over."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from gateway.identity.signatures import fields
from gateway.identity.signatures.component import Component
from gateway.identity.signatures.derived import derived, query_parameters
from gateway.identity.signatures.message import Message

_LINE_END = re.compile(r"\r?\n")
_VALUE = re.compile(r"[\t -~]*\Z")  # nothing that could begin a line of its own, and ASCII as section 2.5 demands


def signature_base(message: Message, components: Iterable[Component], parameters: str) -> bytes:
    """One line for each component, and the last for `parameters`, which is the member of Signature-Input as it is
    written. Raises ValueError for a component that the message does not have.
    """
    values = _Values(message)
    lines = [f"{component}: {values.of(component)}" for component in components]
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode("ascii")


class _Values:
    """The component values of one message. Each field and the query is read once, however often it is covered."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._lines: dict[str, list[str]] = {}
        self._parsed: dict[str, Any] = {}
        self._query: dict[str, str] | None = None
        for name, value in message.headers:
            self._lines.setdefault(name.lower(), []).append(_unfolded(value))

    def of(self, component: Component) -> str:
        if component.name == "@query-param":
            return self._parameter(component.parameters["name"])
        if component.name.startswith("@"):
            return derived(component.name, self._message)
        value = self._field(component.name, component.parameters)
        if not _VALUE.match(value):
            raise ValueError(f"field {component.name} holds more than printable ASCII")
        return value

    def _parameter(self, name: str) -> str:
        if self._query is None:
            self._query = query_parameters(self._message.query or "")
        if name not in self._query:
            raise ValueError(f"there is no query parameter {name!r}")
        return self._query[name]

    def _field(self, name: str, parameters: dict[str, Any]) -> str:
        lines = self._lines.get(name)
        if lines is None:
            raise ValueError(f"there is no field {name}")
        if "bs" in parameters:
            return ", ".join(f":{b64encode(line.encode('latin-1')).decode()}:" for line in lines)
        if "key" in parameters:
            return self._member(name, parameters["key"])
        return fields.written(self._structured(name)) if "sf" in parameters else ", ".join(lines)

    def _member(self, name: str, key: str) -> str:
        if fields.KINDS.get(name) != "dictionary":
            raise ValueError(f"field {name} is not known to be a dictionary")
        if key not in self._structured(name):
            raise ValueError(f"field {name} has no member {key!r}")
        return fields.member(self._structured(name)[key])

    def _structured(self, name: str) -> Any:
        if name not in fields.KINDS:
            raise ValueError(f"field {name} is not known to be structured")
        if name not in self._parsed:
            self._parsed[name] = fields.parse(", ".join(self._lines[name]), fields.KINDS[name])
        return self._parsed[name]


def _unfolded(value: str) -> str:
    """A line's value without blanks around it, and with one for each obsolete line folding (section 2.1)."""
    first, *others = _LINE_END.split(value)
    if not all(line.startswith((" ", "\t")) for line in others):
        return value  # no folding: a line break, which nothing signed may hold
    return " ".join(line.strip(" \t") for line in (first, *others))
