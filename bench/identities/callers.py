"""Issuers, keys and what callers show: tokens of each algorithm, bound ones with proofs, certificates, signatures."""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.agents import Agent, Profile, Registry, Vetting
from gateway.config import Algorithm, Dpop, HttpSignatures, Identity, Issuer, TrustDomain
from gateway.identity import Credentials, Identifier, KeySet, Message, Proofs
from gateway.identity.jwk import PublicKey, public_key
from gateway.identity.spiffe import Bundle
from tests.gateway.workloads import DOMAIN, Ca
from tests.http_signer import Agent as Signer

AUDIENCE = "https://bank.example"
HOST, PATH = "bank.example", "/accounts/1001"
KINDS: Mapping[str, Any] = {"ES256": ECAlgorithm, "RS256": RSAAlgorithm, "EdDSA": OKPAlgorithm}


@dataclass(frozen=True)
class Signs:
    """An issuer with one key."""

    algorithm: Algorithm
    key: Any

    @property
    def name(self) -> str:
        """Its issuer URL."""
        return f"https://{self.algorithm.lower()}.issuer.example"

    def token(self, **more: Any) -> str:
        """A token of some person's, unlike any other."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.name,
            "sub": f"person:{secrets.token_hex(6)}",
            "aud": AUDIENCE,
            "client_id": "browser",
        }
        claims |= {"exp": now + 3600, "iat": now, "jti": secrets.token_hex(16), "scope": "accounts:read payments:write"}
        claims |= {"acr": "urn:bank:strong", "auth_time": now - 60, "roles": ["teller", "adviser"], **more}
        return jwt.encode(claims, self.key, self.algorithm, {"typ": "at+jwt", "kid": "k1"})

    def jwk(self) -> dict[str, Any]:
        """The public key."""
        entry: dict[str, Any] = KINDS[self.algorithm].to_jwk(self.key.public_key(), as_dict=True)
        return entry | {"kid": "k1", "use": "sig"}


def issuers() -> dict[str, Signs]:
    """One for each algorithm."""
    keys: dict[Algorithm, Any] = {
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    return {algorithm: Signs(algorithm, key) for algorithm, key in keys.items()}


class Directory:
    """The keys that agents sign with."""

    def __init__(self, keys: Mapping[str, PublicKey]) -> None:
        self._keys = keys

    def at(self, now: float) -> Mapping[str, PublicKey]:
        """All of them, whenever."""
        return self._keys


@dataclass(frozen=True)
class Bank:
    """An identifier that knows all issuers and one agent, and what callers show it."""

    identifier: Identifier
    issuers: Mapping[str, Signs]
    agent: Signer
    registry: Registry
    authority: Ca

    @classmethod
    def open(cls, remembered: int) -> Bank:
        """With room for so many tokens."""
        known = issuers()
        agent = Signer(ed25519.Ed25519PrivateKey.generate())
        settings = Identity(
            issuers=tuple(
                Issuer(
                    issuer=one.name,
                    jwks_url="https://unused",
                    audience=AUDIENCE,
                    algorithms=(one.algorithm,),
                    vouches_for=("person", "workload", "agent"),
                )
                for one in known.values()
            ),
            trust_domains=(TrustDomain(name=DOMAIN, bundle=Path("unused")),),
            dpop=Dpop(),
            authorities=(HOST,),
            signatures=HttpSignatures(),
            remembered=remembered,
        )
        registry = Registry([Agent(profile=_profile(agent.keyid), changed=0.0, by="bench")])
        proofs = Proofs(settings, Directory({agent.keyid: agent.key}), secrets.token_bytes(32))
        identifier = Identifier(settings, Vetting(registry, True, "bench"), proofs)
        for one in known.values():
            identifier.put_keys(one.name, KeySet.parse({"keys": [one.jwk()]}))
        authority = Ca()
        identifier.put_bundles({DOMAIN: Bundle(authorities=(authority.certificate,))})
        return cls(identifier, known, agent, registry, authority)

    def bearers(self, algorithm: str, count: int) -> list[Credentials]:
        """So many callers with a token each."""
        return [Credentials(f"Bearer {self.issuers[algorithm].token()}") for _ in range(count)]

    def bound(self, count: int) -> list[Credentials]:
        """One caller's bound token, with so many proofs of possession."""
        key = ec.generate_private_key(ec.SECP256R1())
        jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        known = public_key(jwk)
        assert known is not None
        token = self.issuers["ES256"].token(cnf={"jkt": known.thumbprint})
        digest = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        now = int(time.time())
        claims = {"htm": "GET", "htu": f"https://{HOST}{PATH}", "iat": now, "ath": digest}
        header = {"typ": "dpop+jwt", "jwk": jwk}
        return [
            Credentials(
                f"DPoP {token}",
                dpop=jwt.encode(claims | {"jti": secrets.token_hex(16)}, key, "ES256", header),
                request=_request(),
            )
            for _ in range(count)
        ]

    def certificates(self, count: int) -> list[Credentials]:
        """So many workloads, each with a certificate of its own, as the edge hands them over."""
        leaves = (self.authority.leaf(f"spiffe://{DOMAIN}/batch/{number}") for number in range(count))
        return [Credentials("", f'Cert="{quote(leaf.chain.decode(), safe="")}"') for leaf in leaves]

    def signed(self, count: int) -> list[Credentials]:
        """So many requests that the agent signed."""
        now = int(time.time())
        made = []
        for _ in range(count):
            message = self.agent.sign(
                _request(),
                ('"@method"', '"@authority"', '"@path"'),
                created=now,
                expires=now + 60,
                nonce=secrets.token_hex(16),
                tag="web-bot-auth",
            )
            made.append(Credentials(request=message))
        return made


def _request() -> Message:
    return Message(method="GET", scheme="https", authority=HOST, path=PATH)


def _profile(thumbprint: str) -> Profile:
    return Profile(
        id="agent:invoice-bot",
        owner="team:payments",
        purpose="pays invoices",
        model="m",
        version="1",
        expires=4_000_000_000.0,
        may_act_for=("*",),
        keys=(thumbprint,),
    )
