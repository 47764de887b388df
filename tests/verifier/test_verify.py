"""Which tokens are a transaction, and what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Transactions
from gateway.transactions import KeyRing, Minter
from policy import Actor, Principal
from tests.verifier.rig import GATEWAY, KEY, NOW, OTHER, SERVICE, published, signed
from verifier import NotVerified, Transaction, read_keys, verify

KEYS = read_keys(published(k1=KEY))


def shown(token: str, now: float = NOW) -> Transaction:
    return verify(token, KEYS, issuer=GATEWAY, audience=SERVICE, now=now)


def test_a_token_tells_who_asks() -> None:
    assert shown(signed()) == Transaction(
        id="txn-1",
        subject="person:alice",
        actors=("agent:invoice-bot", "agent:planner"),
        scopes=("accounts:read", "payments:write"),
        issued=NOW,
        expires=NOW + 15,
        assurance="urn:bank:strong",
        authenticated=NOW - 60.0,
        client="web",
        proof=("dpop",),
        vouched_by="https://issuer.bank.example",
        obligations={"log": "full"},
    )
    assert shown(signed()).actor == "agent:invoice-bot"
    assert shown(signed(tctx={})).actor == "person:alice"


def test_claims_that_are_not_known_are_ignored() -> None:
    assert shown(signed(purp="new", tctx={"new": 1}, rctx={"req_ip": "192.0.2.1"})).subject == "person:alice"


def test_the_examples_of_the_draft_can_be_read() -> None:
    """draft-ietf-oauth-transaction-tokens-10, "Example: Txn-Token Body", with our audience, issuer and `authn`."""
    token = signed(
        iat=1686536226,
        exp=1686536586,
        txn="97053963-771d-49cc-a4e3-20aad399c312",
        sub="d084sdrt234fsaw34tr23t",
        req_wl="apigateway.trust-domain.example",
        rctx={"req_ip": "69.151.72.123"},
        scope="trade.stocks",
        tctx={"action": "BUY", "ticker": "MSFT", "quantity": "100", "customer_type": {"geo": "US", "level": "VIP"}},
    )
    transaction = shown(token, 1686536300)
    assert (transaction.id, transaction.subject) == ("97053963-771d-49cc-a4e3-20aad399c312", "d084sdrt234fsaw34tr23t")
    assert transaction.scopes == ("trade.stocks",)


def test_it_reads_what_the_gateway_mints() -> None:
    ring = KeyRing.first(lambda: KEY, NOW)
    mint = Minter(Transactions(), ring, lambda: "txn-9")
    actors = (Actor("agent:invoice-bot", "agent", "https://issuer.bank.example"), Actor("agent:planner", "agent"))
    alice = Principal(
        id="person:alice",
        kind="person",
        issuer="https://issuer.bank.example",
        actors=actors,
        proof=("bearer", "mtls"),
        assurance="strong",
        authenticated=NOW - 9.5,
        client="web",
        scopes=("accounts:read",),
    )
    token = mint.token(alice, SERVICE, NOW, {"log": "full"})
    assert verify(token, read_keys(ring.jwks()), issuer=GATEWAY, audience=SERVICE, now=NOW) == Transaction(
        id="txn-9",
        subject="person:alice",
        actors=("agent:invoice-bot", "agent:planner"),
        scopes=("accounts:read",),
        issued=NOW,
        expires=NOW + 15,
        assurance="strong",
        authenticated=NOW - 9.5,
        client="web",
        proof=("bearer", "mtls"),
        vouched_by="https://issuer.bank.example",
        obligations={"log": "full"},
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "accounts"}, "meant for 'accounts', not for 'payments'"),
        ({"aud": [SERVICE]}, "claims: "),
        ({"iss": "urn:other"}, "issued by 'urn:other', not by 'urn:portcullis:gateway'"),
        ({"iat": NOW + 6}, r"issued 6\.0 s in the future"),
        ({"exp": NOW}, r"its life was over 0\.0 s ago"),
        ({"exp": NOW - 5}, r"its life was over 5\.0 s ago"),
        ({"exp": None}, "claims: .*exp"),
        ({"exp": "never"}, "claims: .*exp"),
        ({"txn": None}, "claims: .*txn"),
        ({"sub": 7}, "claims: .*sub"),
        ({"scope": None}, "claims: .*scope"),
        ({"tctx": {"act": {"act": {}}}}, "the chain of actors"),
        ({"tctx": {"act": {"sub": "a", "act": 7}}}, "the chain of actors"),
        ({"key": OTHER}, "not signed by the gateway"),
        ({"headers": {"kid": "k2"}}, "does not publish: 'k2'"),
        ({"headers": {"kid": "k" * 129}}, "not a transaction token"),
        ({"headers": {"typ": "at+jwt"}}, "typ is 'at\\+jwt'"),
        ({"headers": {"jku": "https://evil.example"}}, "not a transaction token"),
        ({"headers": {"crit": ["exp"]}}, "not a transaction token"),
        ({"headers": {"b64": False}}, "not a transaction token"),
        ({"key": "s" * 32, "alg": "HS256"}, "not signed by the gateway"),
        ({"key": "", "alg": "none"}, "not signed by the gateway"),
        ({"key": ec.generate_private_key(ec.SECP384R1()), "alg": "ES384"}, "not signed by the gateway"),
        ({"scope": "x" * 40_000}, "not a transaction token"),
    ],
)
def test_what_is_not_good_is_refused_and_says_why(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(NotVerified, match=why):
        shown(signed(**changes))


def test_a_chain_deeper_than_any_gateway_makes_is_refused() -> None:
    act: dict[str, Any] | None = None
    for _ in range(17):
        act = {"sub": "agent:a", "act": act} if act else {"sub": "agent:a"}
    with pytest.raises(NotVerified, match="chain"):
        shown(signed(tctx={"act": act}))


def test_it_serves_until_its_end_and_no_longer() -> None:
    token = signed()
    assert shown(token, NOW + 14.99).id == shown(token, NOW).id
    with pytest.raises(NotVerified, match="life was over"):
        shown(token, NOW + 15)


def test_the_clock_counts_where_no_time_is_given() -> None:
    with pytest.raises(NotVerified, match="life was over"):
        verify(signed(iat=1_000_000_000, exp=1_000_000_015), KEYS, issuer=GATEWAY, audience=SERVICE)


@given(st.text() | st.binary().map(lambda some: some.decode("latin-1")))
def test_whatever_is_shown_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(NotVerified):
        shown(text)


@given(st.data())
def test_a_token_with_anything_changed_says_the_same_or_nothing(data: st.DataObject) -> None:
    token = signed()
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.text(max_size=3)) + token[place + 1 :]
    try:
        assert shown(changed) == shown(token)
    except NotVerified:
        return


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": 7}', b'{"keys": [7]}', b'{"keys": []}'])
def test_what_is_no_jwks_is_an_error(document: bytes) -> None:
    with pytest.raises(ValueError, match="JWK Set"):
        read_keys(document)


def test_keys_of_another_kind_are_left_out() -> None:
    rsa = {"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}
    larger = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
    small = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    entries = [rsa, larger | {"kid": "l"}, small, small | {"kid": "x", "x": "AA"}, small | {"kid": "e", "alg": "ES384"}]
    assert read_keys(json.dumps({"keys": [*entries, small | {"kid": "k"}]}).encode()).keys() == {"k"}


def test_it_needs_nothing_else_of_ours_and_no_grpc() -> None:
    floors = ["console", "gateway", "defense_lines", "policy", "detectors", "telemetry", "grpc"]
    program = f"import sys, verifier, verifier.asgi; print([name for name in {floors} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
