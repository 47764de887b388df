"""Whom an event is about: a subject identifier (RFC 9493), or a complex subject of several (SSF section 3.3)."""

from __future__ import annotations

from typing import Any, Final, TypeGuard

from policy import encode_json

_LONGEST: Final = 2048  # characters
# Members without which a format names nobody (RFC 9493 section 3.2, SSF section 3.5). Others are the parties' own.
_NEEDED: Final = {
    "account": ("uri",),
    "did": ("url",),
    "email": ("email",),
    "iss_sub": ("iss", "sub"),
    "jwt_id": ("iss", "jti"),
    "opaque": ("id",),
    "phone_number": ("phone_number",),
    "saml_assertion_id": ("issuer", "assertion_id"),
    "uri": ("uri",),
}


def is_subject(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is a subject, and no longer than one should be."""
    if not isinstance(value, dict):
        return False
    named = _complex(value) if is_complex(value) else _simple(value)
    return named and len(canonical(value)) <= _LONGEST


def is_complex(subject: dict[str, Any]) -> bool:
    """Whether it has several members that together name one."""
    return subject.get("format") == "complex"


def canonical(subject: object) -> str:
    """The one JSON text of a subject: equal subjects have equal texts."""
    return encode_json(subject)


def members(subject: dict[str, Any]) -> list[str]:
    """The texts of what a complex subject consists of; of a simple one there are none."""
    return [canonical(value) for name, value in subject.items() if name != "format"] if is_complex(subject) else []


def _simple(value: dict[str, Any]) -> bool:
    kind = value.get("format")
    if not isinstance(kind, str) or not kind or kind == "complex" or len(value) < 2:
        return False
    return all(isinstance(value.get(name), str) for name in _NEEDED.get(kind, ()))


def _complex(value: dict[str, Any]) -> bool:
    parts = [part for name, part in value.items() if name != "format"]
    return bool(parts) and all(isinstance(part, dict) and _simple(part) for part in parts)
