"""The request of a token exchange (RFC 8693 section 2.1), read strictly from a form."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from gateway.token_service.issued import ExchangeError

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
_LONGEST = 16_384  # characters of a token
_MOST_FIELDS, _MOST_NAMES = 64, 256
_REPEATED = frozenset({"audience", "resource"})  # everything else stands once (RFC 6749 section 3.2)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*\Z")  # RFC 6749 section 3.3
_TARGET = re.compile(r"[!-~]{1,1024}\Z")
_PRINTABLE = re.compile(r"[!-~]+\Z")


class ExchangeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, and the tokens that are shown for it; nothing of them is believed yet."""

    subject_token: str
    actor_token: str = ""  # none means that who sends the request is the actor
    scope: tuple[str, ...] = ()  # none means all that the subject has
    audience: tuple[str, ...] = ()
    resource: tuple[str, ...] = ()


def read_request(body: bytes) -> ExchangeRequest | ExchangeError:
    """Read an application/x-www-form-urlencoded body. What has no value counts as absent (RFC 6749 section 3.2)."""
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return ExchangeError("invalid_request", "the body is no form")
    once: dict[str, str] = {}
    repeated: dict[str, list[str]] = {name: [] for name in _REPEATED}
    for name, value in pairs:
        if name in repeated:
            repeated[name] += [value] if value else []
        elif name in once:
            return ExchangeError("invalid_request", "a parameter stands twice")
        else:
            once[name] = value
    given = {name: value for name, value in once.items() if value}
    return _wrong(given) or _read(given, tuple(repeated["audience"]), tuple(repeated["resource"]))


def _wrong(given: dict[str, str]) -> ExchangeError | None:
    if given.get("grant_type") != GRANT:
        wrong = "unsupported_grant_type" if "grant_type" in given else "invalid_request"
        return ExchangeError(wrong, "grant_type is not token exchange")  # type: ignore[arg-type]  # both are codes
    checks = (
        ("subject_token" in given, "no subject_token"),
        (given.get("subject_token_type") in (ACCESS_TOKEN, JWT), "subject_token_type must be access_token or jwt"),
        (
            given.get("actor_token_type") in ((ACCESS_TOKEN, JWT) if "actor_token" in given else (None,)),
            "actor_token_type must be access_token or jwt, and come with an actor_token",
        ),
        (given.get("requested_token_type", ACCESS_TOKEN) in (ACCESS_TOKEN, JWT), "only access tokens are issued"),
        (all(_fit(given.get(name, "-")) for name in ("subject_token", "actor_token")), "a token is too long or odd"),
    )
    return next((ExchangeError("invalid_request", reason) for holds, reason in checks if not holds), None)


def _fit(token: str) -> bool:
    return len(token) <= _LONGEST and bool(_PRINTABLE.match(token))


def _read(
    given: dict[str, str], audience: tuple[str, ...], resource: tuple[str, ...]
) -> ExchangeRequest | ExchangeError:
    scope = given.get("scope", "")
    words = tuple(dict.fromkeys(scope.split(" "))) if scope else ()
    if scope and (not _SCOPE.match(scope) or len(words) > _MOST_NAMES):
        return ExchangeError("invalid_scope", "scope is not a list of words")
    if not all(_TARGET.match(name) for name in (*audience, *resource)):
        return ExchangeError("invalid_target", "audience or resource is not a name")
    return ExchangeRequest(
        subject_token=given["subject_token"],
        actor_token=given.get("actor_token", ""),
        scope=words,
        audience=audience,
        resource=resource,
    )
