"""What the tests of the enforcement points share: a bank's policy, an issuer, and a judge that uses both."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.blocklist import Blocklist
from gateway.config import Config, Edge, Identity, Issuer, Route, Service, Transactions
from gateway.devices import Devices
from gateway.enforcement import Judge
from gateway.identity import Identifier, KeySet, Missing
from gateway.revocations import Revocations
from gateway.sessions import RecentCuts, Session, Sessions
from gateway.transactions import KeyRing, Minter
from policy import AccessRequest, Bundle, Decision, Pdp, embedded_pdp

ISSUER = "https://issuer.bank.example"
RULES = """package portcullis.access

import rego.v1

decision := {"effect": "allow", "reasons": []} if permitted

decision := {"effect": "deny", "reasons": ["not_yours"]} if {
    not permitted
    input.path != "/step"
}

decision := {"effect": "step_up", "reasons": ["weak"], "obligations": {"acr_values": "strong", "max_age": 300}} if {
    not permitted
    input.path == "/step"
}

permitted if input.segments[1] == input.principal.attributes.account

permitted if input.body.amount < 100

permitted if input.action == "CALL"
"""


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class Bank:
    """A judge over one small policy, and tokens that it trusts."""

    def __init__(
        self, pdp: Pdp | None = None, edge: Edge | None = None, audiences: Mapping[str, str] | None = None
    ) -> None:
        audiences = audiences or {}
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.config = Config(
            edge=edge or Edge(),
            services={
                "bank": Service(address="127.0.0.1", port=1, audience=audiences.get("bank")),
                "ledger": Service(address="127.0.0.1", port=2, protocol="grpc", audience=audiences.get("ledger")),
            },
            routes=(
                Route(prefix="/streams/", service="bank", stream=True),
                Route(prefix="/accounts/", service="bank"),
                Route(prefix="/pay", service="bank", body_bytes=100),
                Route(prefix="/step", service="bank"),
                Route(prefix="/bank.Ledger/", service="ledger"),
            ),
            identity=Identity(
                issuers=(
                    Issuer(
                        issuer=ISSUER,
                        jwks_url="http://unused",
                        audience="bank",
                        vouches_for=("person", "workload", "agent"),
                    ),
                )
            ),
        )
        self.identifier = Identifier(self.config.identity, audiences=tuple(audiences.values()))
        self.sessions = Sessions()
        self.blocklist = Blocklist(self.sessions)
        self.pdp: Pdp = pdp or embedded_pdp(Bundle({"bank.rego": RULES}, {}))
        self.seen: list[tuple[AccessRequest, Decision]] = []
        self.fetched: list[str] = []
        now = time.time()
        self.ring = KeyRing.first(new_key, now)
        self.minter = Minter(Transactions(), self.ring, lambda: "txn")
        self.devices = Devices("device_id")
        self.revocations, self.recent = Revocations("device_id", 1000), RecentCuts()
        self.judge = Judge(
            self.config,
            self.identifier,
            self.blocklist,
            self.pdp,
            self._witness,
            self._ask,
            self.minter,
            self.devices,
            self.revocations,
            self.recent,
        )

    def opened(self, session: Session, epoch: int) -> None:
        """Nothing is signalled here."""

    def token(self, subject: str = "person:alice", account: str = "1001", **changes: Any) -> str:
        now = time.time()
        claims = {"iss": ISSUER, "sub": subject, "aud": "bank", "exp": now + 60, "iat": now, "jti": "t"}
        claims |= {"client_id": "web", "account": account, **changes}
        return jwt.encode(claims, self.key, "ES256", {"typ": "at+jwt", "kid": "k"})

    def _witness(self, request: AccessRequest, decision: Decision) -> None:
        self.seen.append((request, decision))

    async def _ask(self, missing: Missing) -> None:
        self.fetched.append(missing.issuer)
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        self.identifier.put_keys(missing.issuer, KeySet.parse({"keys": [public | {"kid": "k"}]}))
