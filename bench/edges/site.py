"""Everything that runs while some variants are measured: upstream, issuer, and a side of each kind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.edges.certificate import certificate
from bench.edges.plugin import Form, Program, plugin
from bench.edges.side import ENVOY, OTHERS, Side
from bench.edges.variant import ALICE, ANSWER, SCOPE
from bench.system import AUDIENCE, Issuer, Upstream, plain_envoy, portcullis, until_idle, upstream
from deploy.demo.ports import free_port
from gateway.config import Config, Edge, Guard, Identity, Policy, Route, Service, Tls
from gateway.config import Issuer as IssuerConfig
from gateway.edge import TlsMaterial

CACHE_SECONDS = {"judged": 0.0, "cached": 5.0}  # our sides
BOB, TINA, SAM = "person:bob", "person:tina", "person:sam"
DATA = {
    "accounts": {"1001": {"owner": ALICE}, "1002": {"owner": BOB}, "1003": {"owner": SAM}},
    "principals": {SAM: {"status": "suspended"}},
    "roles": {"teller": {"permissions": ["accounts:read"]}},
}


@dataclass(frozen=True)
class Site:
    """What runs, and the token under load."""

    sides: dict[str, Side]
    issuer: Issuer
    token: str
    certificate: bytes | None  # of the edges, where they speak TLS


@asynccontextmanager
async def site(folder: Path, tls: bool, answering: Program, forms: Sequence[Form]) -> AsyncIterator[Site]:
    """All sides, once each has nothing left to do. Raises CannotRun."""
    async with AsyncExitStack() as stack:
        issuer = Issuer()
        await stack.enter_async_context(issuer.serve())
        behind = await stack.enter_async_context(upstream(_made(folder / "upstream"), ANSWER))
        settings = certificate(folder) if tls else None
        material = TlsMaterial(settings.certificate.read_bytes(), settings.key.read_bytes()) if settings else None
        stock = configuration(_made(folder / "stock"), behind, issuer.url, settings)
        plain = await stack.enter_async_context(plain_envoy(stock, _made(folder / "plain"), material))
        sides = {"plain": Side("plain", plain.port, {plain.pid: ENVOY})}
        for name, seconds in CACHE_SECONDS.items():
            config = _ours(configuration(_made(folder / name), behind, issuer.url, settings), seconds)
            running = await stack.enter_async_context(portcullis(config, folder / name))
            await until_idle(running)
            sides[name] = Side(name, running.port, {running.pid: OTHERS})
        for form in forms:
            made = plugin(form, answering, stock, _made(folder / form.name), issuer, material)
            sides[form.name] = await stack.enter_async_context(made)
        shown = material.certificate if material else None
        yield Site(sides, issuer, issuer.token(ALICE, scope=SCOPE), shown)


def configuration(folder: Path, behind: Upstream, issuer: str, tls: Tls | None) -> Config:
    """Two services, one issuer, the starter policy and a few accounts. Everything else is as it is by default."""
    data = folder / "data.json"
    data.write_text(json.dumps(DATA))
    trusted = IssuerConfig(issuer=issuer, jwks_url=f"{issuer}/jwks", audience=AUDIENCE)
    return Config(
        state=folder / "state",
        edge=Edge(port=free_port(), concurrency=1, tls=tls),
        services={
            "accounts": Service(address="127.0.0.1", port=behind.http),
            "ledger": Service(address="127.0.0.1", port=behind.grpc, protocol="grpc"),
        },
        routes=(Route(prefix="/accounts", service="accounts"), Route(prefix="/bank.Ledger/", service="ledger")),
        identity=Identity(issuers=(trusted,)),
        policy=Policy(data=data),
        # The load is an attack by any measure: this is about what judging costs, not about stopping it.
        guard=Guard(never_block_principals=(ALICE,)),
    )


def _ours(config: Config, cache_seconds: float) -> Config:
    edge = Edge.model_validate(config.edge.model_dump(exclude_unset=True) | {"cache_seconds": cache_seconds})
    return config.model_copy(update={"edge": edge})


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o755)  # started as root, `portcullis up` runs its children as another user
    return folder
