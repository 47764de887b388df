"""JSON Web Tokens (RFC 7519) in compact form, signed (RFC 7515). Encrypted ones (JWE) are undefined, as in OPA."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from policy.rego.builtins.octets import from_base64url
from policy.rego.builtins.operands import octets, text_of
from policy.rego.builtins.partial import mapping, string, undefined_on
from policy.rego.builtins.signatures import ALGORITHMS, signature, verified
from policy.rego.builtins.token_constraints import read_constraints
from policy.rego.builtins.webkeys import WebKey, signing_key, verification_keys
from policy.rego.json_text import decode, encode, valid
from policy.rego.memory import NOW, SCRATCH, Memory

_TEXTS = ("alg", "kid", "typ", "cty")  # header parameters that must be text


@undefined_on(ValueError)
def decode_token(encoded: Any) -> Any:
    """`[header, payload, signature in hexadecimal]`; of the innermost token where tokens are nested."""
    while True:
        parts = _parts(encoded)
        header, payload = _header(parts), from_base64url(parts[1])
        if string(header.get("cty", "")) != "JWT":
            return [header, mapping(decode(payload)), from_base64url(parts[2]).hex()]
        encoded = text_of(payload).strip("\"'")


@undefined_on(ValueError)
def decode_verify(m: Memory, encoded: Any, constraints: Any) -> Any:
    """`[true, header, payload]` if the signature verifies and all constraints are met, else `[false, {}, {}]`."""
    wanted = read_constraints(mapping(constraints), m[NOW])
    while True:
        parts = _parts(encoded)
        header = _checked(_header(parts))
        fits = _valid(header) and wanted.algorithm in ("", header["alg"])
        if not fits or not _trusted(wanted.keys, header, parts):
            return [False, {}, {}]
        payload = from_base64url(parts[1])
        if header.get("cty", "").lower() != "jwt":
            break
        encoded = text_of(payload)
    claims = mapping(decode(payload))
    return [True, header, claims] if wanted.met_by(claims) else [False, {}, {}]


def _verifier(algorithm: str) -> Callable[..., Any]:
    @undefined_on(ValueError)
    def builtin(encoded: Any, certificate: Any) -> Any:
        parts = _parts(encoded)
        keys = verification_keys(string(certificate))
        made, header = from_base64url(parts[2]), _checked(_header(parts))
        return any(verified(algorithm, one.key, _signed(parts), made, strict=False) for one in _fitting(keys, header))

    return builtin


def _secret_verifier(algorithm: str) -> Callable[..., Any]:
    @undefined_on(ValueError)
    def builtin(encoded: Any, secret: Any) -> Any:
        parts = _parts(encoded)
        return verified(algorithm, octets(string(secret)), _signed(parts), from_base64url(parts[2]), strict=False)

    return builtin


@undefined_on(ValueError)
def encode_sign(m: Memory, headers: Any, payload: Any, jwk: Any) -> Any:
    """A token signed with a key, all three given as values."""
    return _signed_once(m, encode(headers), encode(payload), encode(jwk))


@undefined_on(ValueError)
def encode_sign_raw(m: Memory, headers: Any, payload: Any, jwk: Any) -> Any:
    """A token signed with a key, all given as JSON text; a payload that is no JSON needs another `typ` than JWT."""
    return _signed_once(m, string(headers), string(payload), string(jwk))


def _signed_once(m: Memory, *texts: str) -> str:
    """Signatures of some algorithms are random: the same texts are signed once in an evaluation."""
    m[SCRATCH] = memory = m[SCRATCH] or {}
    if ("io.jwt.encode_sign", texts) not in memory:
        memory["io.jwt.encode_sign", texts] = _sign(*texts)
    return memory["io.jwt.encode_sign", texts]  # type: ignore[no-any-return]


def _sign(headers: str, payload: str, jwk: str) -> str:
    header, secret = mapping(decode(headers)), signing_key(jwk)
    if header.get("typ", "JWT") == "JWT" and not valid(payload):
        raise ValueError("type is JWT but payload is not JSON")
    signed = f"{_base64url(octets(headers))}.{_base64url(octets(payload))}"
    return f"{signed}.{_base64url(signature(string(header.get('alg')), secret, signed.encode()))}"


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _parts(encoded: Any) -> list[str]:
    parts = string(encoded).split(".")
    if len(parts) != 3:
        raise ValueError("a token has three parts")
    return parts


def _signed(parts: list[str]) -> bytes:
    return octets(f"{parts[0]}.{parts[1]}")


def _header(parts: list[str]) -> dict[Any, Any]:
    header = mapping(decode(from_base64url(parts[0])))
    if "enc" in header:
        raise ValueError("an encrypted token")
    return header


def _checked(header: dict[Any, Any]) -> dict[Any, Any]:
    for name in _TEXTS:
        string(header.get(name, ""))
    critical = header.get("crit", [""])
    if type(critical) is not list or not critical or type(critical[0]) is not str:
        raise ValueError("crit is a list of names, not empty")
    return header


def _valid(header: dict[Any, Any]) -> bool:
    """Whether it names an algorithm, and as critical nothing unknown (RFC 7515, sections 4.1.1 and 4.1.11)."""
    return bool(header.get("alg")) and not any(
        name in header and name not in (*_TEXTS, "crit") for name in header.get("crit", []) if type(name) is str
    )


def _fitting(keys: tuple[WebKey, ...], header: dict[Any, Any]) -> list[WebKey]:
    """The key that the header names; or, if none is so named, all that are not for other algorithms."""
    named = [one for one in keys if one.id and one.id == header.get("kid")]
    return named[:1] or [one for one in keys if one.algorithm in ("", header.get("alg", ""))]


def _trusted(keys: tuple[WebKey, ...], header: dict[Any, Any], parts: list[str]) -> bool:
    made = from_base64url(parts[2])
    return any(verified(header["alg"], one.key, _signed(parts), made) for one in _fitting(keys, header))


_ASYMMETRIC = sorted(name for name in ALGORITHMS if not name.startswith("HS"))
_SYMMETRIC = sorted(ALGORITHMS.difference(_ASYMMETRIC))
IMPURE = {"io.jwt.decode_verify": "clock", "io.jwt.encode_sign": "random", "io.jwt.encode_sign_raw": "random"}
BUILTINS: dict[str, Callable[..., Any]] = {
    "io.jwt.decode": decode_token,
    "io.jwt.decode_verify": decode_verify,
    "io.jwt.encode_sign": encode_sign,
    "io.jwt.encode_sign_raw": encode_sign_raw,
    **{f"io.jwt.verify_{name.lower()}": _verifier(name) for name in _ASYMMETRIC},
    **{f"io.jwt.verify_{name.lower()}": _secret_verifier(name) for name in _SYMMETRIC},
}
