"""Invariant: whatever an issuer's key set looks like, no secret and no weak key comes out, and an id names one key."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import KeySet
from gateway.identity.jwk import ALGORITHMS

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner)
)
_key = st.dictionaries(st.sampled_from(["kty", "alg", "use", "crv", "x", "y", "n", "e", "kid"]), _json | st.just("EC"))


def _entry(algorithm: Any, key: Any) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return entry


GOOD = [
    *(_entry(jwt.algorithms.ECAlgorithm, ec.generate_private_key(ec.SECP256R1())) for _ in range(2)),
    _entry(jwt.algorithms.ECAlgorithm, ec.generate_private_key(ec.SECP521R1())),
    _entry(jwt.algorithms.OKPAlgorithm, ed25519.Ed25519PrivateKey.generate()),
    _entry(jwt.algorithms.RSAAlgorithm, rsa.generate_private_key(public_exponent=65537, key_size=2048)),
]
WEAK = _entry(jwt.algorithms.RSAAlgorithm, rsa.generate_private_key(public_exponent=65537, key_size=1024))
_good = st.builds(
    lambda entry, changes: entry | changes,
    st.sampled_from([*GOOD, WEAK]),
    st.dictionaries(st.sampled_from(["kid", "alg", "use", "key_ops", "d", "k", "x"]), st.just("k") | _json, max_size=2),
)


@given(_json | st.lists(_json | _key | _good).map(lambda keys: {"keys": keys}))
def test_any_key_set(document: object) -> None:
    try:
        keys = KeySet.parse(document)
    except ValueError:
        return
    assert isinstance(document, dict)
    entries = [entry for entry in document["keys"] if isinstance(entry, dict)]
    for entry in entries:
        kid = entry.get("kid", "")
        assert keys.key(str(kid), "HS256") is None
        for algorithm, (kind, _) in ALGORITHMS.items():
            found = keys.key(str(kid), algorithm)
            assert found is None or (algorithm in found.algorithms and kind in [one.get("kty") for one in entries])
            assert found is None or getattr(found.key, "key_size", 2048) != 1024


@given(st.lists(st.sampled_from(GOOD), min_size=1), st.sampled_from(["ES256", "ES512", "EdDSA", "RS256"]))
def test_keys_of_one_id_serve_an_algorithm_alone(entries: list[dict[str, Any]], algorithm: str) -> None:
    keys = KeySet.parse({"keys": [entry | {"kid": "k"} for entry in entries]})
    fitting = [entry for entry in entries if KeySet.parse({"keys": [entry | {"kid": "k"}]}).key("k", algorithm)]
    distinct = {json.dumps(entry, sort_keys=True) for entry in fitting}
    assert (keys.key("k", algorithm) is not None) == (len(distinct) == 1)
