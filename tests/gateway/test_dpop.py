"""DPoP: a good proof holds once; each check refuses alone; a token's binding and its scheme fit."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.config import Dpop
from gateway.identity import Refusal, jwk
from gateway.identity.dpop import LONGEST, Binding, Proof, binding, challenge, replay_store, verify_proof
from gateway.identity.nonces import Nonces
from gateway.identity.replay import ReplayStore

NOW = 1_800_000_000.0
URL = "https://api.bank.example/accounts/7"
TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"  # RFC 9449 section 5
ALL = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "PS256")
NONCES = Nonces(bytes(32), 300)

# RFC 9449 sections 4.1 (and 5), 5 (refresh) and 7.1: three proofs by one key.
_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQy"
    "VVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
)
_CODE = (
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0Ijox"
    "NTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
_REFRESH = (
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0Ijox"
    "NTYyMjY1Mjk2fQ.pAqut2IRDm_De6PR93SYmGBPXpwrAk90e8cP2hjiaG5QsGSuKDYW7_X620BxqhvYC8ynrrvZLTk41mSRroapUA"
)
_RESOURCE = (
    "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNv"
    "dXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9."
    "2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
EXAMPLE = _HEADER + _RESOURCE
EXAMPLE_KEY = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"  # section 6.1
EXAMPLE_URL = "https://resource.example.org/protectedresource"

KEYS: Mapping[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}
KEYS = {**KEYS, "Ed25519": KEYS["EdDSA"], "PS256": KEYS["RS256"]}
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256's group
OTHER = ec.generate_private_key(ec.SECP256R1())


def public(private: Any) -> dict[str, Any]:
    kinds = {ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm, rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm}
    kind: Any = next((kind for key, kind in kinds.items() if isinstance(private, key)), jwt.algorithms.OKPAlgorithm)
    shown: dict[str, Any] = json.loads(kind.to_jwk(private.public_key()))
    return {name: value for name, value in shown.items() if name != "key_ops"}


def private(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key))
    return shown


def thumbprint(key: Any) -> str:
    read = jwk.public_key(public(key))
    assert read is not None
    return read.thumbprint


def hashed(token: str) -> str:
    return encoded(hashlib.sha256(token.encode()).digest())


def claims(**changes: Any) -> dict[str, Any]:
    """What a good proof says; None leaves a claim out."""
    base = {"jti": "j1", "htm": "GET", "htu": URL, "iat": NOW, "ath": hashed(TOKEN)}
    return {name: value for name, value in (base | changes).items() if value is not None}


def sign(payload: Mapping[str, Any] | bytes, alg: str = "ES256", by: Any = None, **header: Any) -> str:
    """A proof by the key of an algorithm, or by another. None leaves a header parameter out."""
    fields = {"typ": "dpop+jwt", "alg": alg, "jwk": public(KEYS[alg]) if alg in KEYS else None} | header
    shown = json.dumps({name: value for name, value in fields.items() if value is not None}).encode()
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    message = f"{encoded(shown)}.{encoded(text)}"
    return f"{message}.{encoded(signature(message.encode(), alg, by or KEYS.get(alg)))}"


def signature(message: bytes, alg: str, key: Any) -> bytes:
    if alg == "none":
        return b"none"
    signer = jwt.get_algorithm_by_name("EdDSA" if alg == "Ed25519" else alg)
    made: bytes = signer.sign(message, signer.prepare_key(key))
    return made


def encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def check(proof: str, **changes: Any) -> Proof | Refusal:
    """Verify as the gateway does for GET of URL with TOKEN, bound to the ES256 key."""
    settings = changes.pop("settings", Dpop(leeway_seconds=10, max_age_seconds=60))
    usual: dict[str, Any] = {
        "method": "GET",
        "url": URL,
        "bound": Binding(TOKEN, thumbprint(KEYS["ES256"])),
        "now": NOW,
        "settings": settings,
        "replay": replay_store(settings, bytes(32)),
        "nonces": NONCES,
    }
    return verify_proof(proof, **(usual | changes))


def test_the_examples_of_the_rfc_hold() -> None:
    server = {"method": "POST", "url": "https://server.example.com/token", "bound": None}
    code = check(_HEADER + _CODE, now=1562262616.0, **server)
    assert code == Proof(EXAMPLE_KEY, "-BwC3ESc6acc2lTc", 1562262616.0)
    refresh = check(_HEADER + _REFRESH, now=1562265296.0, **server)
    assert refresh == Proof(EXAMPLE_KEY, "-BwC3ESc6acc2lTc", 1562265296.0)
    bound = binding("DPoP", TOKEN, {"jkt": EXAMPLE_KEY})
    resource = check(EXAMPLE, now=1562262618.0, method="GET", url=EXAMPLE_URL, bound=bound)
    assert resource == Proof(EXAMPLE_KEY, "e1j3V_bKic8-LAEB", 1562262618.0)


def test_an_example_with_another_signature_does_not() -> None:
    mixed = EXAMPLE.rpartition(".")[0] + "." + _CODE.rpartition(".")[2]
    refused(check(mixed, now=1562262618.0, url=EXAMPLE_URL, bound=Binding(TOKEN, EXAMPLE_KEY)), "signature")


def test_the_thumbprint_of_rfc_7638() -> None:
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM"
        "stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5"
        "hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = jwk.public_key({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"})
    assert key is not None
    assert key.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("algorithm", ALL)
def test_a_good_proof_by_each_algorithm_holds(algorithm: str) -> None:
    settings, key = Dpop.model_validate({"algorithms": ALL}), thumbprint(KEYS[algorithm])
    assert check(sign(claims(), algorithm), settings=settings, bound=Binding(TOKEN, key)) == Proof(key, "j1", NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"htu": "HTTPS://API.bank.example:443/%61ccounts/./7?q=1#f"},
        {"iat": NOW + 10},
        {"iat": NOW - 70},
        {"exp": NOW + 1, "nbf": NOW - 1},
        {"exp": NOW - 9, "nbf": NOW + 10},
        {"jti": "é" * 256},
        {"nonce": "another server's"},
        {"custom": {"any": [1, None]}},
    ],
    ids=[
        "another spelling",
        "clock ahead",
        "oldest",
        "own life",
        "own life with leeway",
        "long jti",
        "nonce",
        "custom",
    ],
)
def test_a_proof_may_differ_in_what_does_not_matter(changes: dict[str, Any]) -> None:
    assert isinstance(check(sign(claims(**changes))), Proof)


def refused(answer: Proof | Refusal, detail: str, error: str = "invalid_dpop_proof") -> None:
    assert isinstance(answer, Refusal)
    assert (answer.error, answer.status) == (error, 401)
    assert detail in answer.detail


HEADERS: Mapping[str, tuple[dict[str, Any], str]] = {
    "no typ": ({"typ": None}, "typ"),
    "an access token's typ": ({"typ": "at+jwt"}, "typ"),
    "a plain JWT": ({"typ": "JWT"}, "typ"),
    "typ is no text": ({"typ": 7}, "no text"),
    "no key": ({"jwk": None}, "jwk"),
    "a key that is no object": ({"jwk": "k"}, "jwk"),
    "a private key": ({"jwk": private(KEYS["ES256"])}, "jwk"),
    "a shared secret": ({"jwk": {"kty": "oct", "k": "AAAA"}}, "jwk"),
    "a key off the curve": ({"jwk": public(KEYS["ES256"]) | {"x": "A" * 43}}, "jwk"),
    "a key to encrypt with": ({"jwk": public(KEYS["ES256"]) | {"use": "enc"}}, "jwk"),
    "another's key": ({"jwk": public(OTHER)}, "signature"),
    "a key of another algorithm": ({"jwk": public(KEYS["EdDSA"])}, "signature"),
    "a key by URL": ({"jku": "https://evil.example/keys"}, "jku"),
    "a certificate": ({"x5c": ["AAAA"]}, "x5c"),
    "a critical extension": ({"crit": ["exp"]}, "crit"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_each_header_check_refuses_alone(name: str) -> None:
    header, detail = HEADERS[name]
    refused(check(sign(claims(), **header)), detail)


@pytest.mark.parametrize(
    ("algorithm", "key", "shown"),
    [
        ("none", "", public(KEYS["ES256"])),
        ("HS256", "s" * 32, public(KEYS["ES256"])),
        ("HS256", "s" * 32, {"kty": "oct", "k": urlsafe_b64encode(b"s" * 32).decode()}),
        ("RS256", KEYS["RS256"], public(KEYS["RS256"])),
        ("ES384", KEYS["ES384"], public(KEYS["ES384"])),
    ],
    ids=["unsigned", "shared secret", "shared secret shown", "not configured", "nor this"],
)
def test_only_configured_algorithms_count(algorithm: str, key: Any, shown: dict[str, Any]) -> None:
    refused(check(sign(claims(), algorithm, key, jwk=shown)), "alg")


CLAIMS: Mapping[str, tuple[dict[str, Any], str]] = {
    "no jti": ({"jti": None}, "jti"),
    "an empty jti": ({"jti": ""}, "jti"),
    "a jti too long": ({"jti": "j" * 257}, "jti"),
    "jti is no text": ({"jti": 7}, "jti"),
    "no method": ({"htm": None}, "htm"),
    "another method": ({"htm": "POST"}, "htm"),
    "the method in another case": ({"htm": "get"}, "htm"),
    "no URI": ({"htu": None}, "htu"),
    "another path": ({"htu": URL + "/"}, "another resource"),
    "another path by case": ({"htu": "https://api.bank.example/Accounts/7"}, "another resource"),
    "another host": ({"htu": "https://evil.example/accounts/7"}, "another resource"),
    "another scheme": ({"htu": "http://api.bank.example/accounts/7"}, "another resource"),
    "another port": ({"htu": "https://api.bank.example:8443/accounts/7"}, "another resource"),
    "user information": ({"htu": "https://alice@api.bank.example/accounts/7"}, "htu"),
    "a path alone": ({"htu": "/accounts/7"}, "htu"),
    "htu is no text": ({"htu": [URL]}, "htu"),
    "no iat": ({"iat": None}, "iat"),
    "too old": ({"iat": NOW - 70.1}, "too old"),
    "from the future": ({"iat": NOW + 10.1}, "future"),
    "iat is no number": ({"iat": str(int(NOW))}, "iat"),
    "iat is yes": ({"iat": True}, "iat"),
    "iat beyond all numbers": ({"iat": 10**400}, "iat"),
    "its own end is over": ({"exp": NOW - 10}, "too old"),
    "its own begin is to come": ({"nbf": NOW + 10.1}, "future"),
    "exp is no number": ({"exp": "never"}, "exp"),
    "no hash of the token": ({"ath": None}, "ath"),
    "another token's hash": ({"ath": hashed("other")}, "ath"),
    "a padded hash": ({"ath": hashed(TOKEN) + "="}, "ath"),
    "ath is no text": ({"ath": {}}, "ath"),
    "nonce is no text": ({"nonce": 7}, "nonce"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_each_claim_check_refuses_alone(name: str) -> None:
    changes, detail = CLAIMS[name]
    refused(check(sign(claims(**changes))), detail)


GOOD = sign(claims())


@pytest.mark.parametrize(
    "proof",
    [
        "",
        f"{GOOD},{GOOD}",
        f"{GOOD}, {GOOD}",
        f"{GOOD} ",
        f"{GOOD}=",
        GOOD.rpartition(".")[0] + ".",
        GOOD.rpartition(".")[0],
        GOOD + ".AAAA",
        sign(claims(custom="x" * LONGEST)),
        sign(b"[]"),
        sign(b"null"),
        sign(b"{"),
        sign(b"\xff"),
        sign(json.dumps(claims()).encode()[:-1] + b',"jti":"j2"}'),
        sign(b'{"jti":"\\ud800"}'),
        sign(b'{"a":' * 500 + b"1" + b"}" * 500),
    ],
    ids=[
        *("none", "two", "two with a blank", "a blank", "padding", "no signature", "two parts", "four parts"),
        *(
            "too long",
            "a list",
            "null",
            "broken JSON",
            "no Unicode",
            "a claim twice",
            "half a character",
            "nested deep",
        ),
    ],
)
def test_what_is_no_single_well_formed_proof_is_refused(proof: str) -> None:
    refused(check(proof), "")


def test_every_bit_of_a_proof_counts() -> None:
    header, payload, signed = GOOD.split(".")
    raw = bytearray(urlsafe_b64decode(signed + "=="))
    for bit in range(0, len(raw) * 8, 7):
        raw[bit // 8] ^= 1 << bit % 8
        refused(check(f"{header}.{payload}.{encoded(bytes(raw))}"), "signature")
        raw[bit // 8] ^= 1 << bit % 8
    refused(check(f"{header}.{encoded(json.dumps(claims(jti='j2')).encode())}.{signed}"), "signature")
    refused(check(f"{encoded(urlsafe_b64decode(header + '==') + b' ')}.{payload}.{signed}"), "signature")


@pytest.mark.parametrize(("r", "s"), [(0, 0), (0, 1), (1, 0), (1, 1), (ORDER, ORDER), (ORDER - 1, ORDER - 1)])
def test_numbers_that_are_no_signature_are_refused(r: int, s: int) -> None:
    refused(check(GOOD.rpartition(".")[0] + "." + encoded(r.to_bytes(32) + s.to_bytes(32))), "signature")


def test_a_signature_in_another_form_is_refused() -> None:
    message, _, signed = GOOD.rpartition(".")
    raw = urlsafe_b64decode(signed + "==")
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    for other in (encode_dss_signature(r, s), raw + b"\0", raw[:63], bytes(33) + raw):
        refused(check(f"{message}.{encoded(other)}"), "signature")


def test_the_other_signature_that_ecdsa_allows_does_not_make_another_proof() -> None:
    message, _, signed = GOOD.rpartition(".")
    raw = urlsafe_b64decode(signed + "==")
    twin = f"{message}.{encoded(raw[:32] + (ORDER - int.from_bytes(raw[32:])).to_bytes(32))}"
    store = replay_store(Dpop(), bytes(32))
    assert isinstance(check(GOOD, replay=store), Proof)
    refused(check(twin, replay=store), "seen before")


def test_the_request_counts_as_its_sender_saw_it() -> None:
    assert isinstance(check(GOOD, url="https://API.bank.example:443/accounts/%37?all=1"), Proof)
    refused(check(GOOD, method="HEAD"), "htm")
    refused(check(GOOD, url="https://api.bank.example/accounts/8"), "htu")
    refused(check(GOOD, url="not a URI"), "htu")
    refused(check(sign(claims(htu="not a URI")), url="not a URI"), "htu")


def test_a_proof_by_another_key_is_a_bad_token() -> None:
    by_other = sign(claims(), by=OTHER, jwk=public(OTHER))
    refused(check(by_other), "another key", "invalid_token")
    assert isinstance(check(by_other, bound=Binding(TOKEN, thumbprint(OTHER))), Proof)


def test_without_a_token_the_proof_stands_alone() -> None:
    assert isinstance(check(sign(claims(ath=None)), bound=None), Proof)


def test_a_proof_counts_once_for_as_long_as_it_could_be_accepted() -> None:
    settings = Dpop(leeway_seconds=10, max_age_seconds=60)
    store = replay_store(settings, bytes(32))
    for issued in (NOW - 70, NOW, NOW + 10):
        proof = sign(claims(iat=issued, jti=f"j{issued}"))
        assert isinstance(check(proof, replay=store), Proof)
        for later in (NOW, issued + 70):
            refused(check(proof, replay=store, now=later), "seen before")
        refused(check(proof, replay=store, now=issued + 70.1), "too old")


def test_a_jti_is_its_keys_own() -> None:
    store = replay_store(Dpop(), bytes(32))
    assert isinstance(check(GOOD, replay=store), Proof)
    refused(check(sign(claims(iat=NOW + 1)), replay=store), "seen before")
    other: dict[str, Any] = {"bound": Binding(TOKEN, thumbprint(OTHER)), "replay": store}
    assert isinstance(check(sign(claims(), by=OTHER, jwk=public(OTHER)), **other), Proof)


def test_a_full_replay_store_refuses() -> None:
    store = ReplayStore("test", 1, 90, bytes(32))
    assert isinstance(check(GOOD, replay=store), Proof)
    refused(check(sign(claims(jti="j2")), replay=store), "full")
    refused(check(GOOD, replay=store), "seen before")


@pytest.mark.parametrize("name", CLAIMS)
def test_only_a_proof_that_holds_is_remembered(name: str) -> None:
    store = replay_store(Dpop(), bytes(32))
    check(sign(claims(**CLAIMS[name][0])), replay=store)
    check(sign(claims(), by=OTHER, jwk=public(OTHER)), replay=store)
    assert len(store) == 0
    assert isinstance(check(GOOD, replay=store), Proof)


@pytest.mark.parametrize("nonce", [None, "", "other", NONCES.issue(NOW - 600), NONCES.issue(NOW + 300)])
def test_a_nonce_that_is_demanded_must_be_fresh(nonce: str | None) -> None:
    refused(check(sign(claims(nonce=nonce)), settings=Dpop(nonce=True)), "nonce", "use_dpop_nonce")


@pytest.mark.parametrize("issued", [NOW, NOW - 300])
def test_a_fresh_nonce_is_accepted(issued: float) -> None:
    assert isinstance(check(sign(claims(nonce=NONCES.issue(issued))), settings=Dpop(nonce=True)), Proof)


def test_a_request_for_a_nonce_does_not_use_up_the_proof() -> None:
    store = replay_store(Dpop(), bytes(32))
    refused(check(GOOD, settings=Dpop(nonce=True), replay=store), "nonce", "use_dpop_nonce")
    assert isinstance(check(GOOD, replay=store), Proof)


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
def test_a_bound_token_is_shown_by_dpop(scheme: str) -> None:
    assert binding(scheme, TOKEN, {"jkt": EXAMPLE_KEY, "x5t#S256": "x"}) == Binding(TOKEN, EXAMPLE_KEY)


@pytest.mark.parametrize("confirmation", [None, {}, {"x5t#S256": "x"}])
def test_a_token_that_is_not_bound_is_a_bearer_token(confirmation: Any) -> None:
    assert binding("Bearer", TOKEN, confirmation) is None


@pytest.mark.parametrize(
    ("scheme", "confirmation"),
    [
        *((scheme, {"jkt": EXAMPLE_KEY}) for scheme in ("Bearer", "bearer", "Basic", "")),
        *(("DPoP", confirmation) for confirmation in (None, {}, {"x5t#S256": "x"}, "jkt", ["jkt"])),
        *(("DPoP", {"jkt": key}) for key in (None, "", 7, ["x"])),
        ("Bearer", {"jkt": None}),
    ],
)
def test_a_scheme_that_does_not_fit_the_token_is_refused(scheme: str, confirmation: Any) -> None:
    answer = binding(scheme, TOKEN, confirmation)
    assert isinstance(answer, Refusal)
    assert (answer.error, answer.status) == ("invalid_token", 401)


def test_the_challenges_of_the_rfc() -> None:
    assert challenge("WallyWorld", ("ES256", "PS256")) == 'DPoP realm="WallyWorld", algs="ES256 PS256"'
    refusal = 'DPoP realm="bank", error="invalid_dpop_proof", algs="ES256 EdDSA"'
    assert challenge("bank", Dpop().algorithms, "invalid_dpop_proof") == refusal
