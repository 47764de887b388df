"""Where one party's word ends: which ids an issuer may name, which names a proof is for, how long a certificate binds,
what a restart forgets, and what a token may take to be remembered.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import pytest
from cryptography import x509

from bench.identities.callers import Bank
from gateway.agents import Agent, Profile, Registry, chain_allowed
from gateway.config import Dpop, HttpSignatures, Identity, Issuer, TrustDomain
from gateway.identity import Credentials, Identifier, Proofs, Refusal, client_certificate
from gateway.identity.access_token import Trust
from gateway.identity.spiffe import Bundle, Revoked
from policy import Actor, Principal
from tests.gateway.test_identity import _EC as KEY
from tests.gateway.test_identity import ISSUER, NOW, forwarded, keys, mint
from tests.gateway.workloads import DOMAIN, SVID, Ca


def trusting(**issuer: Any) -> Identifier:
    """Somebody who believes one issuer, as far as it may vouch."""
    made = Issuer(**{"issuer": ISSUER, "jwks_url": "http://unused", "audience": "bank"} | issuer)
    identifier = Identifier(Identity(issuers=(made,), trust_domains=(TrustDomain(name=DOMAIN),)))
    identifier.put_keys(ISSUER, keys(("k1", KEY)))
    return identifier


def shown(identifier: Identifier, certificate: str = "", now: float = NOW, **claims: Any) -> Any:
    return identifier.identify(Credentials(f"Bearer {mint(**claims)}", certificate), now)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "agent:invoice-bot"},
        {"sub": "agent:invoice-bot", "client_id": "agent:invoice-bot"},
        {"sub": "workload:batch"},
        {"sub": "workload:spiffe://bank.example/batch"},
        {"sub": "spiffe://bank.example/batch"},
        {"sub": "spiffe://bank.example/batch", "client_id": "spiffe://bank.example/batch"},
        {"sub": "person:alice", "client_id": "person:alice"},
        {"sub": "alice", "act": {"sub": "agent:invoice-bot"}},
        {"sub": "alice", "act": {"sub": "invoice-bot"}},
        {"sub": "alice", "act": {"sub": "workload:spiffe://bank.example/batch"}},
    ],
)
def test_an_issuer_names_people_and_clients_and_nobody_else_unless_it_may(claims: dict[str, Any]) -> None:
    assert isinstance(shown(trusting(), **claims), Refusal)


@pytest.mark.parametrize(
    ("claims", "name", "actor"),
    [
        ({"sub": "alice"}, "person:alice", "person:alice"),
        ({"sub": "shop", "client_id": "shop"}, "workload:shop", "workload:shop"),
        ({"sub": "a94207d1", "client_id": "shop", "idtyp": "app"}, "workload:shop", "workload:shop"),
        ({"sub": "agent:bot"}, "agent:bot", "agent:bot"),
        ({"sub": "alice", "act": {"sub": "bot"}}, "person:alice", "agent:bot"),
    ],
)
def test_an_issuer_of_agents_names_them_too(claims: dict[str, Any], name: str, actor: str) -> None:
    principal = shown(trusting(vouches_for=("person", "workload", "agent")), **claims)
    assert isinstance(principal, Principal), principal
    assert (principal.id, principal.actor) == (name, actor)


@pytest.mark.parametrize("vouches_for", [("person", "workload"), ("person", "workload", "agent")])
def test_not_even_an_issuer_of_agents_names_the_workload_of_a_trust_domain(vouches_for: tuple[str, ...]) -> None:
    for sub in ("spiffe://bank.example/batch", "workload:spiffe://bank.example/batch"):
        assert isinstance(shown(trusting(vouches_for=vouches_for), sub=sub, client_id=sub), Refusal)


def test_what_we_narrowed_is_still_vouched_for_by_who_vouched_for_it() -> None:
    own = Trust(Issuer(issuer="urn:ours", audience="urn:ours"), keys(("k1", KEY)), ("bank",), ours=True)
    identifier = Identifier(Identity(), own=own)
    claims: dict[str, Any] = {
        "iss": "urn:ours",
        "sub": "workload:spiffe://bank.example/batch",
        "sub_iss": "bank.example",
    }
    principal = shown(identifier, **claims)
    assert isinstance(principal, Principal)
    assert (principal.id, principal.issuer) == (f"workload:{SVID}", "bank.example")
    stranger = shown(trusting(), sub_iss="bank.example")
    assert isinstance(stranger, Principal)
    assert stranger.issuer == ISSUER


def bound_to(certificate: x509.Certificate) -> dict[str, Any]:
    parsed = client_certificate.parse(forwarded(certificate))
    assert not isinstance(parsed, Refusal)
    now = int(time.time())
    return {"cnf": {"x5t#S256": parsed.thumbprint}, "iat": now, "exp": now + 7200}


def test_a_token_bound_to_a_certificate_counts_for_as_long_as_that_stands() -> None:
    ours, theirs, now = Ca("laptops"), Ca("laptops"), time.time()
    certificate = ours.leaf(SVID, hours=1).certificate
    identifier, header, claims = trusting(), forwarded(certificate), bound_to(certificate)
    identifier.put_bundles({}, [Bundle((ours.certificate,))])
    principal = shown(identifier, header, now=now, **claims)
    assert isinstance(principal, Principal)
    assert principal.expires == certificate.not_valid_after_utc.timestamp()
    assert isinstance(shown(identifier, header, now=now + 3601, **claims), Refusal)
    serial = (certificate.issuer.public_bytes(), certificate.serial_number)
    for vouching in (
        [Bundle((ours.certificate,), revoked=Revoked(b"", frozenset({serial})))],
        [Bundle((theirs.certificate,))],
        [Bundle()],
    ):
        identifier.put_bundles({}, vouching)
        assert isinstance(shown(identifier, header, now=now, **claims), Refusal)
        assert isinstance(identifier.certificate(header, now), Refusal)
    identifier.put_bundles({}, None)  # an edge of the bank's own has looked
    assert isinstance(shown(identifier, header, now=now, **claims), Principal)


def test_a_proof_is_for_a_name_of_ours() -> None:
    """Whoever was sent a proof for its own name cannot send it on to us, under that name."""
    bank, now = Bank.open(100), time.time()
    (credentials,) = bank.bound(1)
    assert credentials.request is not None
    proofs = Proofs(Identity(authorities=("other.example",), dpop=Dpop()), _Keys(), bytes(32))
    assert isinstance(proofs.held(credentials, now), Refusal)
    ours = Proofs(Identity(authorities=(credentials.request.authority,), dpop=Dpop()), _Keys(), bytes(32))
    assert not isinstance(ours.held(credentials, now), Refusal)


class _Keys:
    def at(self, now: float) -> dict[str, Any]:
        return {}


def test_what_was_proven_before_a_restart_is_not_proven_after_it() -> None:
    """What the store before has seen is not known: a proof of that time needs a nonce, a signature is refused."""
    bank, now = Bank.open(100), time.time()
    (credentials,) = bank.bound(1)
    assert credentials.request is not None
    settings = Identity(authorities=(credentials.request.authority,), dpop=Dpop(), signatures=HttpSignatures())
    reborn = Proofs(settings, _Keys(), secrets.token_bytes(32), born=now)
    answer = reborn.held(credentials, now)
    assert isinstance(answer, Refusal)
    assert answer.error == "use_dpop_nonce"
    assert reborn.nonce(now)
    earlier = Proofs(settings, _Keys(), secrets.token_bytes(32), born=now - 120)
    assert not isinstance(earlier.held(credentials, now), Refusal)
    assert not earlier.nonce(now)


def test_a_token_is_remembered_once_however_its_scheme_is_spelled_and_a_large_one_counts_for_several() -> None:
    identifier, token = trusting(), mint()
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        assert isinstance(identifier.identify(Credentials(f"{scheme} {token}"), NOW), Principal)
    assert identifier.remembered == 1
    small = Identifier(Identity(issuers=(Issuer(issuer=ISSUER, jwks_url="http://u", audience="bank"),), remembered=10))
    small.put_keys(ISSUER, keys(("k1", KEY)))
    for number in range(30):
        assert isinstance(shown(small, jti=f"t{number}"), Principal)
    assert small.remembered == 10
    for number in range(3):
        assert isinstance(shown(small, jti=f"l{number}", groups=[f"group-{n}" for n in range(200)]), Principal)
    assert small.remembered < 6


def test_an_agent_and_its_workload_are_one() -> None:
    profile = Profile(
        id="agent:all",
        owner="team:a",
        purpose="p",
        model="m",
        version="1",
        expires=4e9,
        may_act_for=("*",),
        spiffe_id="spiffe://bank.example/all",
    )
    registry = Registry([Agent(profile=profile, changed=0.0, by="analyst:jo")])
    workload = Actor("workload:spiffe://bank.example/all", "workload")
    circle = Principal(id="person:a", kind="person", issuer="i", actors=(Actor("agent:all", "agent"), workload))
    itself = Principal(id="agent:all", kind="agent", issuer="i", actors=(workload,))
    for principal in (circle, itself):
        assert isinstance(chain_allowed(principal, registry, NOW), Refusal)
