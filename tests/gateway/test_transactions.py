"""Transaction tokens: what they say, how long one serves, what makes another, and the keys that sign them."""

from __future__ import annotations

import json
import os
import stat
import sys
from itertools import count
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Transactions
from gateway.transactions import HEADER, KeyRing, Minter, Rotation, SigningKey, SigningKeys
from policy import Actor, Principal, decode_json

NOW = 1_800_000_000.0
ROTATION = Rotation(period=86_400, ahead=900, longest_life=300)
ALICE = Principal(
    id="person:alice",
    kind="person",
    issuer="https://issuer.bank.example",
    actors=(Actor("agent:invoice-bot", "agent", "https://issuer.bank.example"), Actor("agent:planner", "agent")),
    proof=("dpop",),
    assurance="urn:bank:strong",
    authenticated=NOW - 60,
    expires=NOW + 3600,
    token="callers-jti",
    client="web",
    scopes=("accounts:read", "payments:write"),
    roles=("adviser",),
    attributes={"account": "1001", "cnf": {"jkt": "secret-thumbprint"}, "email": "alice@bank.example"},
)


def new() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


RING = KeyRing.first(new, NOW - 10)


def minter(**settings: Any) -> Minter:
    number = count()
    return Minter(Transactions(**settings), RING, lambda: f"txn-{next(number)}")


def read(token: str, ring: KeyRing = RING) -> dict[str, Any]:
    """Claims of a token whose signature one of the published keys verifies."""
    published = {key.key_id: key for key in jwt.PyJWKSet.from_json(ring.jwks().decode()).keys}
    key = published[jwt.get_unverified_header(token)["kid"]]
    payload: bytes = jwt.PyJWS().decode(token, key.key, algorithms=["ES256"])
    claims: dict[str, Any] = json.loads(payload)
    return claims


def changed(**changes: Any) -> Principal:
    return Principal(**{name: getattr(ALICE, name) for name in ALICE.__struct_fields__} | changes)


def test_a_token_says_who_asks_on_whose_behalf_and_of_whom() -> None:
    token = minter().token(ALICE, "payments", NOW, {"log": "full"})
    assert jwt.get_unverified_header(token) == {"typ": "txntoken+jwt", "alg": "ES256", "kid": RING.signer(NOW).kid}
    assert read(token) == {
        "iss": "urn:portcullis:gateway",
        "aud": "payments",
        "sub": "person:alice",
        "txn": "txn-0",
        "iat": NOW,
        "exp": NOW + 15,
        "scope": "accounts:read payments:write",
        "req_wl": "urn:portcullis:gateway",
        "rctx": {"iss": "https://issuer.bank.example", "authn": ["dpop"]},
        "tctx": {
            "act": {
                "sub": "agent:invoice-bot",
                "iss": "https://issuer.bank.example",
                "act": {"sub": "agent:planner"},
            },
            "acr": "urn:bank:strong",
            "auth_time": NOW - 60,
            "client": "web",
            "obligations": {"log": "full"},
        },
    }
    assert HEADER == "txn-token"


def test_what_is_not_known_is_not_said() -> None:
    batch = Principal(id="workload:spiffe://bank.example/batch", kind="workload", issuer="bank.example")
    claims = read(minter().token(batch, "ledger", NOW))
    assert claims["tctx"] == {}
    assert claims["scope"] == ""


def test_obligations_keep_every_digit_that_policy_wrote() -> None:
    obligations = decode_json(b'{"limit": 0.1234567890123456789012345, "at_most": [100000000000000000000000]}')
    token = minter().token(ALICE, "payments", NOW, obligations)
    payload = jwt.PyJWS().decode(token, RING.keys[0].private.public_key(), algorithms=["ES256"])
    assert decode_json(payload)["tctx"]["obligations"] == obligations


def test_one_token_serves_for_half_its_life() -> None:
    mint = minter(life_seconds=20)
    first = mint.token(ALICE, "payments", NOW)
    assert mint.token(ALICE, "payments", NOW + 9.9) == first
    second = mint.token(ALICE, "payments", NOW + 10)
    assert read(second)["txn"] != read(first)["txn"]
    assert read(second)["exp"] == NOW + 30


@pytest.mark.parametrize(
    "other",
    [
        changed(id="person:bob"),
        changed(issuer="https://other.example"),
        changed(actors=()),
        changed(actors=ALICE.actors[:1]),
        changed(proof=("bearer",)),
        changed(assurance=""),
        changed(authenticated=NOW - 61),
        changed(client="app"),
        changed(scopes=("accounts:read",)),
    ],
)
def test_what_says_something_else_is_another_token(other: Principal) -> None:
    mint = minter()
    assert mint.token(ALICE, "payments", NOW) != mint.token(other, "payments", NOW)


def test_another_audience_or_obligation_is_another_token() -> None:
    mint = minter()
    said = [("payments", None), ("accounts", None), ("payments", {"log": "full"}), ("payments", {"log": "none"})]
    assert len({mint.token(ALICE, audience, NOW, obliged) for audience, obliged in said}) == len(said)


def test_what_is_not_said_makes_no_other_token() -> None:
    mint = minter()
    first = mint.token(ALICE, "payments", NOW)
    assert mint.token(changed(token="another-jti", roles=(), attributes={}), "payments", NOW) == first


def test_a_token_never_outlives_the_proof() -> None:
    mint = minter()
    mint.token(ALICE, "payments", NOW)
    short = mint.token(changed(expires=NOW + 4), "payments", NOW)
    assert read(short)["exp"] == NOW + 4
    assert mint.token(ALICE, "payments", NOW + 1.9) == short
    assert read(mint.token(ALICE, "payments", NOW + 2))["exp"] == NOW + 17


def test_nothing_private_of_the_callers_token_gets_in() -> None:
    token = minter().token(ALICE, "payments", NOW)
    text = json.dumps(read(token))
    assert not [word for word in ("callers-jti", "1001", "thumbprint", "alice@", "adviser") if word in text]


def test_a_signal_about_anybody_in_the_chain_makes_another() -> None:
    for about in ("person:alice", "agent:invoice-bot", "agent:planner"):
        mint = minter()
        first, other = mint.token(ALICE, "payments", NOW), mint.token(changed(id="person:bob", actors=()), "pay", NOW)
        mint.forget(about)
        mint.forget("person:nobody")
        assert mint.token(ALICE, "payments", NOW) != first
        assert mint.token(changed(id="person:bob", actors=()), "pay", NOW) == other


def test_all_can_be_forgotten() -> None:
    mint = minter()
    first = mint.token(ALICE, "payments", NOW)
    mint.forget_all()
    second = mint.token(ALICE, "payments", NOW)
    assert second != first
    mint.forget("agent:planner")
    assert mint.token(ALICE, "payments", NOW) != second


def test_when_full_the_oldest_makes_room() -> None:
    mint = minter(remembered_mb=1)
    first = mint.token(ALICE, "payments", NOW)
    people = [changed(id=f"person:{number}") for number in range(500)]
    newest = [mint.token(person, "payments", NOW) for person in people]
    assert mint.token(people[-1], "payments", NOW) == newest[-1]
    assert mint.token(ALICE, "payments", NOW) != first


def test_memory_is_bounded_whatever_the_tokens_say() -> None:
    mint = minter(remembered_mb=1)
    for number in range(1500):
        mint.token(changed(id=f"person:{number}", scopes=(f"{number}" * (number % 500),)), "payments", NOW)
    held = sum(sys.getsizeof(part) for part in _reachable(mint._remembered))
    assert held < 1 << 20


def _reachable(root: Any) -> list[Any]:
    """Texts, tuples and containers that only the remembered tokens hold."""
    parts: list[Any] = []
    stack = [root._minted, root._about]
    while stack:
        part = stack.pop()
        parts.append(part)
        if isinstance(part, dict):
            stack += [*part.keys(), *part.values()]
        elif isinstance(part, (tuple, set)):
            stack += [*part]
        elif hasattr(part, "token"):
            stack.append(part.token)
    return list({id(part): part for part in parts}.values())


def test_the_next_key_is_published_before_it_signs_and_the_old_one_until_its_last_token_is_dead() -> None:
    ring = KeyRing.first(new, NOW)
    first = ring.keys[0]
    assert ring.turned(new, ROTATION, NOW + 86_400 - 901) is ring
    ring = ring.turned(new, ROTATION, NOW + 86_400 - 900)
    _, second = ring.keys
    assert ring.turned(new, ROTATION, NOW + 86_400 - 899) is ring
    assert ring.signer(NOW + 86_399.9) == first
    assert ring.signer(NOW + 86_400) == second
    assert ring.turned(new, ROTATION, NOW + 86_400 + 299.9) is ring
    assert ring.turned(new, ROTATION, NOW + 86_400 + 300).keys == (second,)


def test_after_a_long_sleep_the_next_key_is_still_published_first() -> None:
    ring = KeyRing.first(new, NOW)
    late = NOW + 10 * 86_400
    turned = ring.turned(new, ROTATION, late)
    assert turned.signer(late + 899) == ring.keys[0]
    assert turned.signer(late + 900) == turned.keys[1]


def test_a_clock_that_went_back_leaves_a_key() -> None:
    ring = KeyRing.first(new, NOW)
    assert ring.signer(NOW - 1e6) == ring.keys[0]


def test_only_public_halves_are_published() -> None:
    ring = KeyRing.first(new, NOW).turned(new, ROTATION, NOW + 86_400)
    entries = json.loads(ring.jwks())["keys"]
    assert [set(entry) for entry in entries] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}] * 2
    assert [entry["kid"] for entry in entries] == [key.kid for key in ring.keys]


def test_a_key_on_another_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="P-256"):
        SigningKey.of(ec.generate_private_key(ec.SECP384R1()), NOW)


_KEYS = [new() for _ in range(40)]


@given(st.lists(st.floats(1, 200_000), min_size=1, max_size=30))
def test_whoever_fetched_keys_since_the_last_turn_knows_every_signer(steps: list[float]) -> None:
    """Turned on time, a ring never signs with a key that was not published for `ahead`, nor drops one that lives."""
    keys = iter(_KEYS)
    ring, now, published = KeyRing.first(lambda: next(keys), NOW), NOW, {}
    published[ring.keys[0].kid] = float("-inf")
    signed: dict[str, float] = {}
    for step in steps:
        now += step
        ring = ring.turned(lambda: next(keys), ROTATION, now)
        for key in ring.keys:
            published.setdefault(key.kid, now)
        signer = ring.signer(now).kid
        assert published[signer] <= now - ROTATION.ahead
        signed[signer] = now
        known = {key.kid for key in ring.keys}
        assert all(kid in known for kid, last in signed.items() if last + ROTATION.longest_life > now)
        assert len(ring.keys) <= 3


def test_tokens_of_the_last_ring_stay_good() -> None:
    mint = minter()
    before = mint.token(ALICE, "payments", NOW)
    ring = RING.turned(new, ROTATION, NOW + 86_400)
    mint.put_ring(ring)
    assert mint.token(ALICE, "payments", NOW) == before
    assert read(before, ring)["sub"] == "person:alice"
    later = mint.token(ALICE, "payments", ring.keys[1].signs_from)
    assert jwt.get_unverified_header(later)["kid"] == ring.keys[1].kid


def test_keys_outlive_a_restart_in_a_file_of_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "signing-keys.json"
    keys = SigningKeys(path, ROTATION, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not keys.turn(NOW + 1)
    assert keys.turn(NOW + 86_000)
    again = SigningKeys(path, ROTATION, NOW + 86_001)
    assert again.ring.jwks() == keys.ring.jwks()
    assert [key.signs_from for key in again.ring.keys] == [NOW, NOW + 86_900]
    assert read(again.ring.signer(NOW).sign("txntoken+jwt", b"{}"), keys.ring) == {}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["jwks.json", "signing-keys.json"]
    assert (tmp_path / "jwks.json").read_bytes() == keys.ring.jwks()


def test_a_ring_that_is_not_on_disk_does_not_sign(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keys = SigningKeys(path, ROTATION, NOW)
    before = keys.ring
    (tmp_path / "keys.new").mkdir()
    with pytest.raises(OSError, match=r"keys\.new"):
        keys.turn(NOW + 90_000)
    assert keys.ring is before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_keys_that_others_may_read_are_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys"
    SigningKeys(path, ROTATION, NOW)
    path.chmod(mode)
    with pytest.raises(ValueError, match="mode 0600"):
        SigningKeys(path, ROTATION, NOW)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"keys": 7}',
        b'{"keys": []}',
        b'{"keys": [7]}',
        b'{"keys": [{"kty": "EC"}]}',
        json.dumps({"keys": [RING.keys[0].published() | {"signs_from": 1}]}).encode(),
    ],
)
def test_a_file_without_signing_keys_is_an_error_that_names_it(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="holds no signing keys"):
        SigningKeys(path, ROTATION, NOW)


def test_a_link_or_a_pipe_is_no_key_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ValueError, match="must be a file"):
        SigningKeys(tmp_path / "pipe", ROTATION, NOW)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        SigningKeys(tmp_path / "link", ROTATION, NOW)
