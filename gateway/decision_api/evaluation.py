"""An evaluation of AuthZEN (Authorization API 1.0, section 5) as the access request that policy sees."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.decision_api.refused import Refused
from gateway.enforcement import split
from gateway.identity import kind_of, principal_id
from policy import AccessRequest, Actor, Principal, PrincipalKind

ENTITIES = ("subject", "action", "resource", "context")
_KINDS: Mapping[str, PrincipalKind] = {
    "user": "person",
    "person": "person",
    "workload": "workload",
    "agent": "agent",
}
_MAX_ACTORS = 16

Entity = dict[str, Any]


def access_request(evaluation: Mapping[str, Any], now: float) -> AccessRequest:
    """The access request that an evaluation means; `now` is Unix seconds. Raises Refused, with 400."""
    context = entity(evaluation, "context") if "context" in evaluation else {}
    resource, action = entity(evaluation, "resource"), entity(evaluation, "action")
    path, query = _target(resource)
    return AccessRequest(
        principal=_principal(entity(evaluation, "subject")),
        action=_text(action, "action", "name"),
        service=_text(resource, "resource", "type"),
        path=path,
        query=query,
        host=_optional_text(context, "context", "host"),
        address=_address(context),
        body=_body(resource, action),
        context=context,
        time=_time(context, now),
    )


def entity(evaluation: Mapping[str, Any], name: str) -> Entity:
    """One of the four parts of an evaluation. Raises Refused."""
    if name not in evaluation:
        raise Refused(400, f"{name} is missing")
    return _object(evaluation[name], name)


def _principal(subject: Entity) -> Principal:
    properties = _properties(subject, "subject")
    identifier, kind = _identity(subject, "subject")
    where = "subject.properties"
    issuer = _optional_text(properties, where, "issuer")
    return Principal(
        id=identifier,
        kind=kind,
        issuer=issuer,
        actors=_actors(properties.get("actors", []), issuer),
        proof=_texts(properties, where, "proof"),
        assurance=_optional_text(properties, where, "assurance"),
        authenticated=_seconds(properties.get("authenticated", 0.0), f"{where}.authenticated"),
        scopes=_texts(properties, where, "scopes"),
        roles=_texts(properties, where, "roles"),
        attributes={name: value for name, value in properties.items() if name not in _STANDING},
    )


_STANDING = frozenset({"issuer", "actors", "proof", "assurance", "authenticated", "scopes", "roles"})


def _identity(subject: Entity, where: str) -> tuple[str, PrincipalKind]:
    kind = _KINDS.get(_text(subject, where, "type"))
    if kind is None:
        raise Refused(400, f"{where}.type must be one of {', '.join(_KINDS)}")
    identifier = principal_id(_text(subject, where, "id"), kind)
    if identifier is None or kind_of(identifier) != kind:
        raise Refused(
            400, f"{where}.id must be 1 to 256 printable ASCII characters, and of the kind that its type says"
        )
    return identifier, kind


def _actors(listed: Any, issuer: str) -> tuple[Actor, ...]:
    where = "subject.properties.actors"
    if type(listed) is not list or len(listed) > _MAX_ACTORS:
        raise Refused(400, f"{where} must be an array of at most {_MAX_ACTORS} subjects")
    found = [_identity(_object(actor, f"{where}.{index}"), f"{where}.{index}") for index, actor in enumerate(listed)]
    return tuple(Actor(identifier, kind, issuer) for identifier, kind in found)


def _target(resource: Entity) -> tuple[str, str]:
    """Path and query. An id that is no path is one segment below the type, whatever it holds."""
    identifier = _text(resource, "resource", "id")
    if not identifier.startswith("/"):
        return f"/{_segment(_text(resource, 'resource', 'type'))}/{_segment(identifier)}", ""
    target = split(identifier)
    if target is None:
        raise Refused(400, "resource.id is a path that can be read in more than one way")
    return target


def _segment(text: str) -> str:
    if text in (".", "..") or not text.isprintable():
        raise Refused(400, "resource.type and resource.id must be printable, and not '.' or '..'")
    return text.replace("%", "%25").replace("/", "%2F")


def _body(resource: Entity, action: Entity) -> Entity | None:
    of_resource, of_action = _properties(resource, "resource"), _properties(action, "action")
    if both := of_resource.keys() & of_action.keys():
        raise Refused(400, f"{min(both)!r} is a property of both the resource and the action")
    return {**of_resource, **of_action} if "properties" in resource or "properties" in action else None


def _address(context: Entity) -> str:
    text = _optional_text(context, "context", "address") or _optional_text(context, "context", "ip")
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise Refused(400, "context.address must be an IPv4 or IPv6 address") from None


def _time(context: Entity, now: float) -> float:
    value = context.get("time", now)
    if type(value) is not str:
        return _seconds(value, "context.time")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise Refused(400, "context.time must be a date and time with its offset (RFC 3339), or Unix seconds")
    return _seconds(moment.timestamp(), "context.time")


def _seconds(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not 0 <= value < _END_OF_TIME:
        raise Refused(400, f"{where} must be Unix seconds")
    return float(value)


_END_OF_TIME = 253_402_300_800  # the year 10000


def _properties(holder: Entity, where: str) -> Entity:
    return _object(holder.get("properties", {}), f"{where}.properties")


def _object(value: Any, where: str) -> Entity:
    if type(value) is not dict:
        raise Refused(400, f"{where} must be an object")
    return value


def _text(holder: Entity, where: str, name: str) -> str:
    if name not in holder:
        raise Refused(400, f"{where}.{name} is missing")
    value = holder[name]
    if type(value) is not str or not value:
        raise Refused(400, f"{where}.{name} must be a string, and not empty")
    return value


def _optional_text(holder: Entity, where: str, name: str) -> str:
    value = holder.get(name, "")
    if type(value) is not str:
        raise Refused(400, f"{where}.{name} must be a string")
    return value


def _texts(holder: Entity, where: str, name: str) -> tuple[str, ...]:
    value = holder.get(name, [])
    if type(value) is not list or not all(type(item) is str for item in value):
        raise Refused(400, f"{where}.{name} must be an array of strings")
    return tuple(value)
