"""Whom an event is about: subject identifiers (RFC 9493, SSF 1.0 section 3), simple or complex, read strictly."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from typing import Any, Final

import msgspec

MEMBERS: Final = frozenset({"user", "device", "session", "application", "tenant", "org_unit", "group"})
_LONGEST: Final = 1024  # characters of one value
_MOST: Final = 16  # alternatives of one member
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\Z")
_PHONE: Final = re.compile(r"\+[0-9]{1,15}\Z")  # E.164
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z")


class SubjectId(msgspec.Struct, frozen=True):
    """One name of a subject."""

    format: str  # RFC 9493's, or "jwt_id", "saml_assertion_id", "ip-addresses" of SSF
    issuer: str  # who gave the name; "" where the format has no issuer
    value: str


class Subject(msgspec.Struct, frozen=True):
    """Exactly one subject, by all that is said of it: by member, the names that mean the same. A simple subject has
    the one member "". A complex one is what all its members have in common.
    """

    members: Mapping[str, tuple[SubjectId, ...]]


def read_subject(value: Any, critical: Collection[str] = ()) -> Subject:
    """The subject in a claim's value. Members that we do not know are ignored (SSF section 5.3.3), but for those that
    the transmitter calls critical (section 3.6). Raises ValueError for what is no subject, or none that we understand.
    """
    if not isinstance(value, dict):
        raise ValueError("a subject is no object")
    if value.get("format") != "complex":
        return Subject({"": _names(value)})
    unknown = sorted((value.keys() & set(critical)) - MEMBERS)
    if unknown:
        raise ValueError("a critical member of the subject is not understood")
    members = {name: _names(value[name]) for name in sorted(MEMBERS & value.keys())}
    if not members:
        raise ValueError("a complex subject without a member that is understood")
    return Subject(members)


def _names(value: Any) -> tuple[SubjectId, ...]:
    if not isinstance(value, dict):
        raise ValueError("a subject identifier is no object")
    if value.get("format") != "aliases":
        return _simple(value)
    identifiers = value.get("identifiers")
    if not isinstance(identifiers, list) or not 0 < len(identifiers) <= _MOST:
        raise ValueError(f"aliases without 1 to {_MOST} identifiers")
    names = [name for identifier in identifiers for name in _simple(identifier)]
    if len(names) > _MOST:
        raise ValueError(f"more than {_MOST} names of one subject")
    return tuple(dict.fromkeys(names))


def _simple(value: Any) -> tuple[SubjectId, ...]:
    """Nothing nests here: neither aliases (RFC 9493 section 3.2.8) nor a complex subject."""
    if not isinstance(value, dict):
        raise ValueError("a subject identifier is no object")
    name = value.get("format")
    read = _FORMATS.get(name) if isinstance(name, str) else None
    if read is None:
        raise ValueError("a subject identifier of a format that is not understood here")
    return read(value)


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST or not text.isprintable():
        raise ValueError(f"a subject identifier without a usable {name}")
    return text


def _plain(form: str, name: str, pattern: re.Pattern[str] | None = None, start: str = "") -> _Read:
    """A format that has one value, as it is."""

    def read(value: Mapping[str, Any]) -> tuple[SubjectId, ...]:
        text = _text(value, name)
        if not text.startswith(start) or (pattern is not None and pattern.match(text) is None):
            raise ValueError(f"the {name} of a subject identifier is none")
        return (SubjectId(form, "", text),)

    return read


def _issued(form: str, issuer: str, name: str) -> _Read:
    """A format whose value counts with the one who gave it."""
    return lambda value: (SubjectId(form, _text(value, issuer), _text(value, name)),)


def _phone(value: Mapping[str, Any]) -> tuple[SubjectId, ...]:
    number = _text(value, "phone_number").replace(" ", "")  # SSF section 5 writes E.164 with spaces
    if _PHONE.match(number) is None:
        raise ValueError("the phone_number of a subject identifier is none")
    return (SubjectId("phone_number", "", number),)


def _addresses(value: Mapping[str, Any]) -> tuple[SubjectId, ...]:
    addresses = value.get("ip-addresses")
    if not isinstance(addresses, list) or not 0 < len(addresses) <= _MOST:
        raise ValueError(f"ip-addresses without 1 to {_MOST} addresses")
    if not all(isinstance(address, str) and "%" not in address for address in addresses):
        raise ValueError("an address is no text, or has a zone")
    return tuple(SubjectId("ip-addresses", "", str(ip_address(address))) for address in addresses)


_Read = Callable[[Mapping[str, Any]], tuple[SubjectId, ...]]
_FORMATS: Final[Mapping[str, _Read]] = {
    # RFC 9493 section 3.2
    "account": _plain("account", "uri", _URI, "acct:"),
    "email": _plain("email", "email", _EMAIL),
    "iss_sub": _issued("iss_sub", "iss", "sub"),
    "opaque": _plain("opaque", "id"),
    "phone_number": _phone,
    "did": _plain("did", "url", _URI, "did:"),
    "uri": _plain("uri", "uri", _URI),
    # SSF section 3.5
    "jwt_id": _issued("jwt_id", "iss", "jti"),
    "saml_assertion_id": _issued("saml_assertion_id", "issuer", "assertion_id"),
    "ip-addresses": _addresses,
}
