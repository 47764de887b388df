"""What a request presents: the one signature that is meant for us, read but not believed (RFC 9421 section 4)."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.identity.refusal import Refusal
from gateway.identity.signatures import fields
from gateway.identity.signatures.component import Component, component
from gateway.identity.signatures.message import Message

_MOST_COMPONENTS = 32
_LONGEST = 512  # characters of a parameter
_PARAMETERS = {"created": int, "expires": int, "keyid": str, "alg": str, "nonce": str, "tag": str}


class Presented(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A signature and what it claims. Nothing of it is believed before a key has verified it."""

    label: str
    components: tuple[Component, ...]
    parameters: str  # the member of Signature-Input as it is written, which is signed too
    signature: bytes
    keyid: str
    algorithm: str | None  # None where the signature leaves it to the key
    created: int  # Unix seconds
    expires: int  # Unix seconds
    nonce: str
    agent: str  # the origin that Signature-Agent names as the keeper of the key, "" for none


def presented(message: Message, tag: str) -> Presented | Refusal:
    """The one signature of a request that has our tag."""
    try:
        return _read(message, tag)
    except ValueError as error:
        return Refusal("invalid_signature", str(error))


def _read(message: Message, tag: str) -> Presented:
    label, member = _tagged(message, tag)
    items, parameters = member
    components = _components(items)
    return Presented(
        label=label,
        components=components,
        parameters=fields.member(member),
        signature=_signature(message, label),
        keyid=_parameter(parameters, "keyid"),
        algorithm=parameters.get("alg"),
        created=_parameter(parameters, "created"),
        expires=_parameter(parameters, "expires"),
        nonce=parameters.get("nonce", ""),
        agent=_agent(message, components),
    )


def _tagged(message: Message, tag: str) -> tuple[str, Any]:
    """Label and inner list. One request has one agent: of two signatures with our tag neither counts."""
    inputs = fields.dictionary(", ".join(message.values("signature-input")))
    meant = [(label, member) for label, member in inputs.items() if _has(member, tag)]
    if len(meant) != 1:
        raise ValueError(f"{len(meant)} signatures with the tag {tag}")
    parameters = meant[0][1][1]
    for name, value in parameters.items():
        if type(value) is not _PARAMETERS.get(name):
            raise ValueError(f"parameter {name} is not known here, or of another type")
        if isinstance(value, str) and len(value) > _LONGEST:
            raise ValueError(f"parameter {name} is longer than {_LONGEST} characters")
    return meant[0]


def _has(member: Any, tag: str) -> bool:
    value, parameters = member
    found = parameters.get("tag")
    return isinstance(value, list) and type(found) is str and found == tag


def _parameter(parameters: dict[str, Any], name: str) -> Any:
    if name not in parameters:
        raise ValueError(f"no parameter {name}")
    return parameters[name]


def _components(items: list[Any]) -> tuple[Component, ...]:
    if len(items) > _MOST_COMPONENTS:
        raise ValueError(f"more than {_MOST_COMPONENTS} components")
    components = tuple(map(component, items))
    if len({each.identity for each in components}) != len(components):
        raise ValueError("a component stands twice")
    return components


def _signature(message: Message, label: str) -> bytes:
    value, parameters = fields.dictionary(", ".join(message.values("signature"))).get(label, (None, {}))
    if type(value) is not bytes or parameters:
        raise ValueError(f"no signature {label}")
    return value


def _agent(message: Message, components: tuple[Component, ...]) -> str:
    """The origin in Signature-Agent (the Web Bot Auth drafts): a dictionary's member, or the only text in older ones.
    Where the field is there it must be signed, or anybody could say whose key it is.
    """
    lines = message.values("signature-agent")
    if not lines:
        return ""
    covered = [each for each in components if each.name == "signature-agent"]
    if len(covered) != 1:
        raise ValueError("Signature-Agent is not covered once")
    key = covered[0].parameters.get("key")
    text = ", ".join(lines)
    found = fields.parse(text, "item") if key is None else fields.dictionary(text).get(key, (None, {}))
    origin, parameters = found
    if type(origin) is not str or str(parameters.get("type", "directory")) != "directory":
        raise ValueError("Signature-Agent names no directory")
    return origin.removesuffix("/")
