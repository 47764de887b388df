"""Tokens that nobody vouched for: the examples of RFC 7515, and every way to pass off something else as signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import KeySet, Refusal, UnknownKey
from gateway.identity.jwk import public_key
from gateway.identity.jws import Jws, read
from policy import Principal
from tests.gateway.issuer_rig import public
from tests.gateway.token_rig import (
    EC,
    ED,
    ISSUER,
    NOW,
    RSA,
    STRANGER,
    b64,
    claims,
    encoded,
    identified,
    principal,
    refused,
    signed,
    trust,
)

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256

_RFC_7515 = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
A1_HS256 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{_RFC_7515}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
A2_KEY = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
    "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
    "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
A2_RS256 = (
    f"eyJhbGciOiJSUzI1NiJ9.{_RFC_7515}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-"
    "0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L0"
    "7Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
    "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
A3_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
A3_ES256 = (
    f"eyJhbGciOiJFUzI1NiJ9.{_RFC_7515}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
A4_KEY = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
A4_ES512 = (
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_"
    "7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
A5_NONE = f"eyJhbGciOiJub25lIn0.{_RFC_7515}."


@pytest.mark.parametrize(
    ("token", "entry"), [(A2_RS256, A2_KEY), (A3_ES256, A3_KEY), (A4_ES512, A4_KEY)], ids=["A.2", "A.3", "A.4"]
)
def test_the_signatures_of_rfc_7515(token: str, entry: dict[str, Any]) -> None:
    jws, key = read(token), public_key(entry)
    assert isinstance(jws, Jws)
    assert key is not None
    assert jws.signed_by(key)
    assert b'"iss":"joe"' in jws.payload or jws.payload == b"Payload"
    header, _, signature = token.split(".")
    other = read(f"{header}.{b64(b'{}')}.{signature}")
    assert isinstance(other, Jws)
    assert not other.signed_by(key)


def test_the_shared_secret_of_rfc_7515_speaks_for_nobody() -> None:
    secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    assert public_key({"kty": "oct", "k": secret}) is None
    jws = read(A1_HS256)
    assert isinstance(jws, Jws)
    for entry in (A2_KEY, A3_KEY, A4_KEY):
        key = public_key(entry)
        assert key is not None
        assert not jws.signed_by(key)


def test_the_unsigned_example_of_rfc_7515_is_not_read() -> None:
    assert isinstance(read(A5_NONE), str)


# --- keys and algorithms

PEM = EC.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
DER = EC.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize(
    "secret",
    [PEM, PEM.strip(), DER, b"", json.dumps(public("e", EC)).encode()],
    ids=["PEM", "stripped", "DER", "empty", "JWK"],
)
@pytest.mark.parametrize("pinned", [("ES256",), ("ES256", "RS256")])
def test_a_public_key_is_no_secret(alg: str, secret: bytes, pinned: tuple[str, ...]) -> None:
    message = f"{encoded({'alg': alg, 'typ': 'at+jwt', 'kid': 'e'})}.{encoded(claims())}"
    mac = hmac.new(secret, message.encode(), getattr(hashlib, f"sha{alg[2:]}")).digest()
    assert "alg" in refused(f"{message}.{b64(mac)}", trust(algorithms=pinned))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", " none", "es256", "ES256 "])
@pytest.mark.parametrize("signature", ["", b64(b"x" * 64)])
def test_no_algorithm_in_any_spelling(alg: str, signature: str) -> None:
    message = f"{encoded({'alg': alg, 'typ': 'at+jwt', 'kid': 'e'})}.{encoded(claims())}"
    refused(f"{message}.{signature}")


def test_an_algorithm_that_is_not_pinned() -> None:
    assert "pinned" in refused(signed(claims(), RSA, "RS256", kid="r"), trust(algorithms=("ES256",)))


@pytest.mark.parametrize(
    ("alg", "kid"), [("RS256", "e"), ("EdDSA", "e"), ("ES256", "r"), ("ES256", "d"), ("EdDSA", "r")]
)
def test_a_key_serves_no_other_family(alg: str, kid: str) -> None:
    own = {"RS256": RSA, "EdDSA": ED, "ES256": EC}[alg]
    answer = identified(signed(claims(), own, alg, kid=kid))
    assert isinstance(answer, UnknownKey)
    assert answer.otherwise.detail == f"no {alg} key {kid!r}"


@pytest.mark.parametrize("kid", ["e2", "../../etc/passwd", "' OR 1=1 --", "e\x00", "E", "é", "x" * 256])
def test_an_unknown_key_is_asked_for(kid: str) -> None:
    assert identified(signed(claims(), kid=kid)) == UnknownKey(ISSUER)


@pytest.mark.parametrize("kid", ["", None, "x" * 257, 7, ["e"], {"e": 1}, True])
def test_what_is_no_key_id_asks_for_nothing(kid: Any) -> None:
    refused(signed(claims(), kid=kid))


def test_why_there_is_no_key() -> None:
    gone = trust(KeySet(missing="issuer unreachable since 2027-01-15T08:00:00+00:00"))
    answer = identified(signed(claims()), gone)
    assert isinstance(answer, UnknownKey)
    assert answer.otherwise == Refusal("invalid_token", "issuer unreachable since 2027-01-15T08:00:00+00:00")


@pytest.mark.parametrize("name", ["jku", "x5u", "x5c", "jwk", "crit", "b64", "zip"])
def test_a_token_brings_no_key_and_no_extension(name: str) -> None:
    value: Any = "https://issuer.bank.example/jwks"
    if name in ("jwk", "crit"):
        value = public("e", EC) if name == "jwk" else ["exp"]
    assert name in refused(signed(claims(), **{name: value}))


def test_a_strangers_signature() -> None:
    assert refused(signed(claims(), STRANGER)) == "signature"
    assert refused(signed(claims(iss="https://evil.example"), STRANGER)) == "issuer is not trusted"


def test_another_issuers_key_does_not_speak_for_this_one() -> None:
    other = "https://other.bank.example"
    both = trust() | trust(KeySet.parse({"keys": [public("e", STRANGER)]}), issuer=other)
    assert principal(signed(claims(iss=other), STRANGER), both).issuer == other
    assert refused(signed(claims(), STRANGER), both) == "signature"


def _raw(r: int, s: int, size: int = 32) -> bytes:
    return r.to_bytes(size) + s.to_bytes(size)


def _der(token: str) -> bytes:
    return EC.sign(token.rpartition(".")[0].encode(), ec.ECDSA(hashes.SHA256()))


def _signatures() -> list[Any]:
    zero, one = b"\0" * 32, b"\0" * 31 + b"\1"
    order = ORDER.to_bytes(32)
    return [
        pytest.param(lambda _: zero + zero, id="zero"),
        pytest.param(lambda raw: zero + raw[32:], id="r is zero"),
        pytest.param(lambda raw: raw[:32] + zero, id="s is zero"),
        pytest.param(lambda raw: order + raw[32:], id="r is the order"),
        pytest.param(lambda raw: raw[:32] + order, id="s is the order"),
        pytest.param(lambda _: one + one, id="one"),
        pytest.param(lambda raw: raw[:-1], id="short"),
        pytest.param(lambda raw: raw + b"\0", id="long"),
        pytest.param(lambda raw: b"\0" + raw[:32] + b"\0" + raw[32:], id="padded"),
        pytest.param(lambda raw: raw[32:] + raw[:32], id="swapped"),
        pytest.param(lambda raw: raw[:32], id="half"),
        pytest.param(lambda raw: raw * 1000, id="huge"),
    ]


@pytest.mark.parametrize("change", _signatures())
def test_a_signature_of_another_shape(change: Any) -> None:
    message, _, signature = signed(claims()).rpartition(".")
    raw = urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    refused(f"{message}.{b64(change(raw))}")


def test_a_der_signature() -> None:
    token = signed(claims())
    der = _der(token)
    message = token.rpartition(".")[0]
    assert refused(f"{message}.{b64(der)}") == "signature"
    assert principal(f"{message}.{b64(_raw(*decode_dss_signature(der)))}").id == "person:alice"


def test_large_tokens_are_not_parsed() -> None:
    assert "longer" in refused(signed(claims(pad="x" * 65_536)))
    assert "longer" in refused("." * 65_536)
    assert "longer" in refused("a." + "b" * 1_000_000 + ".c")


# --- whatever it is


_value = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_json = st.recursive(_value, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner), max_leaves=5)
_headers = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["ES256", "RS256", "EdDSA", "none", "HS256"]) | _json,
        "typ": st.sampled_from(["at+jwt", "JWT", "dpop+jwt"]) | _json,
        "kid": st.sampled_from(["e", "r", "d", ""]) | _json,
        "crit": _json,
        "jwk": st.just(public("e", STRANGER)),
    },
)
_changes = st.dictionaries(
    st.sampled_from([*claims(), "nbf", "act", "cnf", "auth_time", "acr", "roles", "azp", "typ"]), _json, max_size=3
)


@given(_headers, _changes, st.sampled_from([EC, STRANGER, None]))
def test_any_token_names_whom_its_signer_vouched_for_or_nobody(
    header: dict[str, Any], changes: dict[str, Any], key: Any
) -> None:
    said = claims() | changes
    fields = {"alg": "ES256", "typ": "at+jwt", "kid": "e"} | header
    message = f"{encoded(fields)}.{encoded(said)}"
    signature = jwt.get_algorithm_by_name("ES256").sign(message.encode(), key) if key else b"\0" * 64
    answer = identified(f"{message}.{b64(signature)}")
    if isinstance(answer, Principal):
        assert key is EC
        assert (fields["alg"], fields["kid"], str(fields["typ"]).lower()) == ("ES256", "e", "at+jwt")
        assert "crit" not in fields
        assert "jwk" not in fields
        assert said["iss"] == answer.issuer == ISSUER
        assert answer.id.endswith(said["sub"])
        assert "bank" in answer.audience
        assert NOW < answer.expires <= NOW + 86_420
    else:
        assert isinstance(answer, Refusal | UnknownKey)


@given(st.data())
def test_a_changed_token_names_nobody(data: st.DataObject) -> None:
    token = signed(claims())
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("AZaz09-_.=+/ \n\0") | st.characters())
    changed = token[:at] + data.draw(st.sampled_from([other, "", token[at] + other])) + token[at + 1 :]
    assert changed == token or isinstance(identified(changed), Refusal | UnknownKey)
