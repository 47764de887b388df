"""io.jwt.*: signed tokens, the keys they are verified with, and the constraints they must meet."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from policy.rego.builtins import BUILTINS, IMPURE
from policy.rego.values import UNDEFINED
from tests.policy.opa_answers import opa_answers

NOW = 1_700_000_000 * 10**9
REFUSED = [False, {}, {}]
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEYS = {name: ec.generate_private_key(curve) for name, curve in CURVES.items()}
ED_KEY = ed25519.Ed25519PrivateKey.generate()
SECRET = {"kty": "oct", "k": base64.urlsafe_b64encode(b"secret").decode()}
PRIVATE: dict[str, Any] = {
    "oct": SECRET,
    "RSA": RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True),
    "Ed25519": OKPAlgorithm.to_jwk(ED_KEY, as_dict=True),
    **{name: ECAlgorithm.to_jwk(key, as_dict=True) for name, key in EC_KEYS.items()},
}
PUBLIC: dict[str, Any] = {
    "RSA": RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True),
    "Ed25519": OKPAlgorithm.to_jwk(ED_KEY.public_key(), as_dict=True),
    **{name: ECAlgorithm.to_jwk(key.public_key(), as_dict=True) for name, key in EC_KEYS.items()},
}
KEY_OF = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "P-256", "Ed": "Ed25519"}
ALGORITHMS = [f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)] + ["EdDSA"]


def call(name: str, *arguments: Any) -> Any:
    function = BUILTINS[f"io.jwt.{name}"]
    return function([NOW, None, None], *arguments) if f"io.jwt.{name}" in IMPURE else function(*arguments)


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()  # type: ignore[no-any-return]


def token(header: Any, payload: Any, secret: bytes = b"secret") -> str:
    """Signed with a secret, whatever the header says."""
    parts = [one if isinstance(one, str) else json.dumps(one) for one in (header, payload)]
    signed = ".".join(base64.urlsafe_b64encode(one.encode()).decode().rstrip("=") for one in parts)
    return f"{signed}.{base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), 'sha256')).decode().rstrip('=')}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_one_key_signs_only_that_key_verifies(algorithm: str) -> None:
    own = KEY_OF[algorithm[:2]]
    made = call("encode_sign", {"alg": algorithm}, {"sub": "alice"}, PRIVATE[own])
    for name, key in PUBLIC.items():
        found = call("decode_verify", made, {"cert": json.dumps(key)})
        assert found == ([True, {"alg": algorithm}, {"sub": "alice"}] if name == own else REFUSED)
    if algorithm.startswith("HS"):
        assert call(f"verify_{algorithm.lower()}", made, "secret") is True
        assert call(f"verify_{algorithm.lower()}", made, "Secret") is False
    else:
        assert call(f"verify_{algorithm.lower()}", made, json.dumps(PUBLIC[own])) is True


def test_the_vector_of_rfc_7515_a_1() -> None:
    headers = '{"typ":"JWT",\r\n "alg":"HS256"}'
    payload = '{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
    key = '{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}'
    made = call("encode_sign_raw", headers, payload, key)
    assert made.endswith(".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    in_time = {"cert": key, "time": 1_300_819_379 * 10**9}
    assert call("decode_verify", made, in_time)[0] is True
    assert call("decode_verify", made, {"cert": key}) == REFUSED


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    for key in (RSA_KEY, ED_KEY, *EC_KEYS.values()):
        text = pem(key)
        forged = token({"alg": algorithm}, {"admin": True}, text.encode())
        assert call("decode_verify", forged, {"cert": text}) == REFUSED


@pytest.mark.parametrize("algorithm", ["none", "None", "", "HS1", "ES256K", "hs256"])
def test_no_other_algorithm_verifies(algorithm: str) -> None:
    assert call("decode_verify", token({"alg": algorithm}, {}), {"secret": "secret"}) == REFUSED
    assert call("encode_sign", {"alg": algorithm}, {}, SECRET) is UNDEFINED


@given(at=st.integers(0, 10**6), character=st.sampled_from("AZaz09-_.=~é"))
def test_a_changed_token_never_verifies(at: int, character: str) -> None:
    made = token({"alg": "HS256"}, {"sub": "alice"})
    at %= len(made) - 1  # the last character has bits that count for nothing
    changed = made[:at] + character + made[at + 1 :]
    if changed != made:
        assert call("decode_verify", changed, {"secret": "secret"}) in (REFUSED, UNDEFINED)


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(), lambda one: st.lists(one, max_size=3)))
def test_nothing_raises(value: Any) -> None:
    for name, arity in (("decode", 1), ("verify_hs256", 2), ("verify_rs256", 2), ("decode_verify", 2)):
        assert call(name, *[value] * arity) is UNDEFINED
    assert call("encode_sign", value, value, value) is call("encode_sign_raw", value, value, value) is UNDEFINED


def test_the_named_key_alone_counts_or_else_those_for_the_algorithm() -> None:
    other = {"kty": "oct", "k": base64.urlsafe_b64encode(b"other").decode()}
    keys = {
        "keys": [{**other, "kid": "a"}, {**SECRET, "kid": "b"}, {**SECRET, "alg": "HS512"}, {**SECRET, "alg": "A128KW"}]
    }
    for kid, verified in (("a", False), ("b", True), ("c", True), ("", True)):
        made = token({"alg": "HS256", "kid": kid}, {})
        assert call("decode_verify", made, {"cert": json.dumps(keys)})[0] is verified


@pytest.mark.parametrize(
    ("claims", "constraints", "verified"),
    [
        ({"aud": "x"}, {}, False),
        ({"aud": ["y", "x"]}, {"aud": "x"}, True),
        ({}, {"aud": "x"}, False),
        ({}, {"iss": "x"}, False),
        ({"iss": "x"}, {"iss": "x"}, True),
        ({"exp": NOW // 10**9}, {}, False),
        ({"exp": NOW // 10**9 + 1}, {}, True),
        ({"nbf": NOW // 10**9}, {}, True),
        ({"nbf": NOW // 10**9 + 1}, {}, False),
        ({"exp": 5.5}, {"time": 5.4e9}, True),
        ({}, {"alg": "HS384"}, False),
    ],
)
def test_constraints(claims: Any, constraints: Any, verified: bool) -> None:
    assert call("decode_verify", token({"alg": "HS256"}, claims), {"secret": "secret", **constraints})[0] is verified


@pytest.mark.parametrize("constraints", [{}, {"secret": "secret", "cert": "x"}, {"secret": "secret", "leeway": 5}, "x"])
def test_constraints_that_are_none_are_undefined(constraints: Any) -> None:
    assert call("decode_verify", token({"alg": "HS256"}, {}), constraints) is UNDEFINED


def test_nested_tokens() -> None:
    inner = token({"alg": "HS256"}, {"sub": "alice"})
    outer = token({"alg": "HS256", "cty": "JWT"}, inner)
    assert call("decode", outer) == call("decode", inner)
    assert call("decode_verify", outer, {"secret": "secret"}) == [True, {"alg": "HS256"}, {"sub": "alice"}]
    untrusted = token({"alg": "HS256", "cty": "JWT"}, token({"alg": "HS256"}, {}, b"other"))
    assert call("decode_verify", untrusted, {"secret": "secret"}) == REFUSED


def test_a_random_signature_stays_the_same_within_one_evaluation() -> None:
    memory: list[Any] = [NOW, None, None]
    asked = ({"alg": "PS256"}, {"sub": "alice"}, PRIVATE["RSA"])
    first, again = (BUILTINS["io.jwt.encode_sign"](memory, *asked) for _ in range(2))
    assert first == again != call("encode_sign", *asked)


def test_opa_answers_the_same() -> None:
    extra: list[dict[str, Any]] = [{}, {"crit": ["x"], "x": 1}, {"crit": ["x"]}, {"crit": []}, {"kid": 5}]
    headers = [{"alg": "HS256", **one} for one in extra]
    made = [token(header, payload) for header in [*headers, {}, "[]", "x"] for payload in ({"aud": "a"}, "[]", "x")]
    broken = [
        "",
        "..",
        "a.b.c",
        f"{made[0]}=",
        f"{made[0]}\n",
        made[0].replace(".", "\n.", 1),
        made[0].upper(),
        5,
        None,
    ]
    keys = [json.dumps(key) for key in (*PUBLIC.values(), *PRIVATE.values(), {"keys": [SECRET, PUBLIC["RSA"]]})]
    keys += [pem(RSA_KEY), pem(ED_KEY) + "\n", " " + pem(RSA_KEY), "", "x", "[]", '{"keys":[]}', '{"keys":[{}]}']
    signed = [call("encode_sign", {"alg": one}, {}, PRIVATE[KEY_OF[one[:2]]]) for one in ALGORITHMS]
    calls: dict[str, list[list[Any]]] = {
        "decode": [[one] for one in [*made, *broken, *signed]],
        "verify_hs256": [[one, secret] for one in [*made, *broken] for secret in ("secret", "", 5)],
        "decode_verify": [[one, {"cert": key}] for one in [*signed, made[0]] for key in keys]
        + [[one, {"secret": "secret", "aud": "a"}] for one in [*made, *broken]],
        **{
            f"verify_{one}": [[it, key] for it in signed for key in keys]
            for one in ("rs256", "ps384", "es256", "eddsa")
        },
    }
    for name, asked in calls.items():
        wanted = opa_answers(f"io.jwt.{name}", asked)
        assert [call(name, *one) for one in asked] == wanted, name
