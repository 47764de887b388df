"""Portcullis as it runs here: two workers of Envoy, everything on, answers given again as by default."""

from __future__ import annotations

import json
from pathlib import Path

from bench.invalidating.signals import OWNER, ROLE
from bench.system import AUDIENCE, Upstream
from deploy.demo.ports import free_port
from gateway.config import Config, Edge, Guard, Identity, Policy, Route, Service
from gateway.config import Issuer as IssuerConfig
from policy import PrincipalKind

WORKERS = 2
KINDS: tuple[PrincipalKind, ...] = ("person", "workload", "agent")
ACCOUNT = "/accounts/1001"
CROWD = tuple(f"person:honest-{number}" for number in range(4))  # who are the load
_DATA = {
    "accounts": {"1001": {"owner": OWNER}},
    "roles": {ROLE: {"permissions": ["accounts:read"]}},
    "principals": {},
}


def configuration(folder: Path, behind: Upstream, issuer: str) -> Config:
    """One service, one issuer, the starter policy. Everything else is as it is by default."""
    data = folder / "data.json"
    data.write_text(json.dumps(_DATA))
    trusted = IssuerConfig(issuer=issuer, jwks_url=f"{issuer}/jwks", audience=AUDIENCE, vouches_for=KINDS)
    return Config(
        state=folder / "state",
        edge=Edge(port=free_port(), concurrency=WORKERS),
        services={"accounts": Service(address="127.0.0.1", port=behind.http)},
        routes=(Route(prefix="/accounts", service="accounts"),),
        identity=Identity(issuers=(trusted,)),
        policy=Policy(data=data),
        # The load is an attack by any measure, and nobody orders so many blocks: this is about how fast one counts.
        guard=Guard(
            never_block_principals=(*CROWD, OWNER),
            blocks_per_minute=1_000_000,
            blast_radius_share=1.0,
            approval_share=1.0,
        ),
    )
