"""Hostile security events and logout tokens: none is delivered, each gets its specification's error, nothing breaks."""

from __future__ import annotations

import hmac
import json
import os
import random
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from gateway.signals import LOGOUT
from tests.gateway.issuer_rig import public
from tests.gateway.signals_rig import (
    ALICE,
    IDP,
    SESSION_REVOKED,
    TRANSMITTER,
    Endpoints,
    configuration,
    event_claims,
    event_token,
    logout_claims,
    logout_token,
    transmitter,
)
from tests.gateway.token_rig import EC, NOW, STRANGER, b64, encoded, signed

HOSTILE = 10_000 if os.environ.get("PORTCULLIS_PROVE") == "1" else 350
PUSH_TOKEN = "what-the-transmitter-must-show"
_ERRORS = {"invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed"}
_SEEN_EVENT, _SEEN_LOGOUT = event_token(), logout_token()


@pytest.mark.prove
async def test_whatever_hostile_senders_send_nothing_is_delivered_and_nothing_breaks() -> None:
    rng = random.Random(6)
    endpoints = Endpoints(configuration(transmitter()), push_tokens={TRANSMITTER: PUSH_TOKEN})
    assert await _event(endpoints, _SEEN_EVENT) == (202, "")
    assert (await endpoints.logout(_SEEN_LOGOUT))[0] == 200
    good = list(endpoints.delivered)
    answers: Counter[str] = Counter()
    for number in range(HOSTILE):
        kind = _KINDS[number // 2 % len(_KINDS)]
        status, err = await (_hostile_event if number % 2 else _hostile_logout)(endpoints, kind, rng)
        answers[f"{status} {err}"] += 1
    assert answers.total() == HOSTILE
    assert {answer.partition(" ")[0] for answer in answers} <= {"400", "401"}, answers
    assert {answer.partition(" ")[2] for answer in answers} >= _ERRORS, answers
    assert endpoints.delivered == good
    assert await _event(endpoints, event_token()) == (202, "")
    assert (await endpoints.logout(logout_token()))[0] == 200


async def _event(endpoints: Endpoints, token: str | bytes, shown: str = f"Bearer {PUSH_TOKEN}") -> tuple[int, str]:
    status, _, answer = await endpoints.push(token, authorization=shown)
    return status, answer["err"] if status != 202 else ""


async def _hostile_event(endpoints: Endpoints, kind: Kind, rng: random.Random) -> tuple[int, str]:
    if kind is _replayed:
        if rng.random() < 0.5:
            assert await _event(endpoints, _SEEN_EVENT) == (202, "")  # acknowledged again (RFC 8935 section 2)
            return 400, "and not delivered"
        return await _event(endpoints, _SEEN_EVENT, rng.choice(["", "Bearer", f"Basic {PUSH_TOKEN}", "Bearer x"]))
    token = kind(rng, event_claims(), "secevent+jwt", {"exp": NOW + 60, "sub": "alice", **_times(rng)})
    return await _event(endpoints, token)


async def _hostile_logout(endpoints: Endpoints, kind: Kind, rng: random.Random) -> tuple[int, str]:
    token = kind(rng, logout_claims(), "logout+jwt", {"nonce": "n", "exp": NOW - 60, **_times(rng)})
    text = token.decode("latin-1") if isinstance(token, bytes) else token
    status, _, answer = await endpoints.logout(text)
    assert answer["error"] == "invalid_request"
    return status, answer["error"]


Kind = Callable[[random.Random, dict[str, Any], str, dict[str, Any]], str | bytes]


def _times(rng: random.Random) -> dict[str, Any]:
    return {"iat": rng.choice([NOW + 3600, -1, "now", None, True, 10**30, [NOW]])}


def _forged(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    return signed(claims, STRANGER, typ=typ, kid=rng.choice(["e", "x", "../../e", "k" * 500]))


def _replayed(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    return _SEEN_LOGOUT


def _odd_claims(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    name = rng.choice(sorted(odd))
    return signed(claims | {name: odd[name]}, typ=typ)


def _for_others(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    change: dict[str, Any] = rng.choice(
        [
            {"aud": "https://other.example"},
            {"aud": []},
            {"aud": ["a", "b"]},
            {"iss": "https://evil.example"},
            {"iss": 7},
        ]
    )
    return signed(claims | change, typ=typ)


def _of_another_type(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    """An access token, an ID token, and each of these two as the other."""
    others = {"at+jwt", "JWT", "dpop+jwt", "secevent+jwt", "logout+jwt", None} - {typ}
    return signed(claims, typ=rng.choice(sorted(others, key=str)))


def _in_the_place_of_another(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    """What is good for the other endpoint, by its own type or by this one's."""
    other = logout_claims() if typ == "secevent+jwt" else event_claims(iss=IDP, aud="portcullis")
    return signed(other, typ=typ)


def _unsigned(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    alg = rng.choice(["none", "None", "NONE", "HS256", "HS512", "RS1", 7, None])
    message = encoded({"alg": alg, "typ": typ, "kid": "e"}) + "." + encoded(claims)
    secret = json.dumps(public("e", EC)).encode()
    signature = b64(hmac.digest(secret, message.encode(), "sha256")) if rng.random() < 0.7 else ""
    return f"{message}.{signature}"


def _with_a_key(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    """It brings the key that should be believed."""
    header: dict[str, Any] = rng.choice(
        [
            {"jku": "https://evil.example/jwks"},
            {"x5u": "https://evil.example/chain"},
            {"x5c": ["MIIB"]},
            {"jwk": public("e", STRANGER)},
            {"crit": ["jti"]},
            {"b64": False},
        ]
    )
    return signed(claims, rng.choice([EC, STRANGER]), typ=typ, **header)


def _altered(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    good = signed(claims, typ=typ)
    at = rng.randrange(len(good))
    return good[:at] + rng.choice([one for one in "ABCabc019-_." if one != good[at]]) + good[at + 1 :]


def _other_payload(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    header, _, signature = signed(claims, typ=typ).split(".")
    return f"{header}.{encoded(claims | {'jti': 'another', 'iat': NOW})}.{signature}"


def _twice(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    """A name that stands twice, at the top or deep inside."""
    text = json.dumps(claims)
    first = rng.choice(['"iss": "https://other.example", ', '"events": {}, ', '"a": {"b": 1, "b": 2}, '])
    return signed(text.replace("{", "{" + first, 1).encode(), typ=typ) if "a" not in claims else ""


def _no_events(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    held: Any = rng.choice(
        [
            None,
            {},
            [],
            "x",
            {SESSION_REVOKED: None, LOGOUT: None},
            {SESSION_REVOKED: {"initiating_entity": "root"}},
            {f"urn:{number}": {} for number in range(20)},
        ]
    )
    return signed(claims | {"events": held}, typ=typ)


def _about_nobody(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    held: Any = rng.choice(
        [
            None,
            {"format": "unheard_of", "id": "x"},
            {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [ALICE]}]},
            {"format": "complex"},
            {"format": "opaque", "id": "x" * 5_000},
            {"subject_type": "iss-sub", "iss": IDP, "sub": "alice"},
        ]
    )
    if typ == "secevent+jwt":
        return signed(claims | {"sub_id": held}, typ=typ)
    return signed({name: value for name, value in claims.items() if name not in ("sub", "sid")}, typ=typ)


def _nested(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    depth = rng.choice([500, 3_000])
    text = json.dumps(claims)[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"
    return signed(text.encode(), typ=typ)


def _huge(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    return signed(claims | {"padding": "x" * rng.choice([70_000, 1 << 20])}, typ=typ)


def _noise(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> bytes:
    return rng.randbytes(rng.randrange(600))


def _dots(rng: random.Random, claims: dict[str, Any], typ: str, odd: dict[str, Any]) -> str:
    parts = signed(claims, typ=typ).split(".")
    return ".".join(rng.choice([parts[:2], parts + parts[2:], [*parts, ""], parts[::-1], [parts[0] + "=", *parts[1:]]]))


_KINDS: tuple[Kind, ...] = (
    _forged,
    _replayed,
    _odd_claims,
    _for_others,
    _of_another_type,
    _in_the_place_of_another,
    _unsigned,
    _with_a_key,
    _altered,
    _other_payload,
    _twice,
    _no_events,
    _about_nobody,
    _nested,
    _huge,
    _noise,
    _dots,
)


def test_what_is_mutated_is_good() -> None:
    """Else all would be refused for another reason."""
    header, payload, _ = event_token().split(".")
    assert json.loads(urlsafe_b64decode(header + "=="))["typ"] == "secevent+jwt"
    assert json.loads(urlsafe_b64decode(payload + "=="))["iss"] == TRANSMITTER
