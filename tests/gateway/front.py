"""The whole gateway behind a real Envoy with TLS, an issuer and a key directory to believe, and an upstream."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shutil
import ssl
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import jwt
import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from multidict import CIMultiDict

from bench.identities.callers import AUDIENCE, HOST, KINDS, Signs, issuers
from deploy.demo.ports import free_port
from gateway.agents import Order, Profile
from gateway.app import Gateway
from gateway.config import (
    Config,
    Dpop,
    Edge,
    HttpSignatures,
    Identity,
    Issuer,
    Policy,
    Route,
    Service,
    Tls,
    TokenService,
    TrustDomain,
)
from gateway.edge import ADMIN_SOCKET, EXCHANGE_PATH, EnvoyAdmin
from gateway.identity import Message
from gateway.identity.signatures.directory import MEDIA_TYPE, WELL_KNOWN
from tests.gateway.edge_rig import envoy, until
from tests.gateway.workloads import DOMAIN, Ca, Leaf
from tests.http_signer import Agent

LEEWAY = 10  # seconds
OURS = "https://bank.example/portcullis"
FORM = "application/x-www-form-urlencoded"
SERVER, WORKLOADS = Ca("server"), Ca(DOMAIN)
RULES = """package portcullis.access

decision := {"effect": "allow", "reasons": ["known"]} if {
	input.principal.id
	not at_risk
	not input.device.compliant == false
}

decision := {"effect": "deny", "reasons": ["at_risk"]} if at_risk

decision := {"effect": "deny", "reasons": ["device"]} if {
	not at_risk
	input.device.compliant == false
}

at_risk if data.risk[input.principal.actor] == "high"

at_risk if data.risk[input.principal.id] == "high"
"""
RESPONSE = """package portcullis.response

response := {"blocks": set(), "risks": set(), "why": ""}
"""


@dataclass
class Front:
    """The edge, whose issuer we are, an agent that signs its requests, and what the upstream was sent."""

    port: int
    folder: Path
    issuer: Signs
    signer: Agent
    key: ed25519.Ed25519PrivateKey  # which the agent signs with
    session: aiohttp.ClientSession
    gateway: Gateway
    upstream: list[Any] = field(default_factory=list)
    published: list[Any] = field(default_factory=list)  # the issuer's keys, as it publishes them
    bodies: list[bytes] = field(default_factory=list)  # what the upstream was sent beside those headers

    async def get(
        self, path: str = "/accounts/1001", shown: Mapping[str, str] | None = None, certificate: Leaf | None = None
    ) -> tuple[int, str]:
        """Status and challenge. Who shows a certificate has a connection of its own. Raises aiohttp.ClientError."""
        named = shown or {}
        if certificate is None:
            return await self._get(self.session, path, named)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.trusting(certificate))) as own:
            return await self._get(own, path, named)

    async def _get(self, session: aiohttp.ClientSession, path: str, named: Mapping[str, str]) -> tuple[int, str]:
        headers = CIMultiDict(host=HOST)
        headers.extend(named)
        async with session.get(self._url(path), headers=headers) as answer:
            await answer.read()
            return answer.status, answer.headers.get("www-authenticate", "")

    def _url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"

    @asynccontextmanager
    async def stream(self, token: str = "", certificate: Leaf | None = None) -> AsyncIterator[asyncio.Task[None]]:
        """A live stream of who shows these; the task ends when the stream does."""
        begun = asyncio.Event()
        task = asyncio.create_task(self._read(token, certificate, begun))
        await asyncio.wait_for(begun.wait(), 10)
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _read(self, token: str, certificate: Leaf | None, begun: asyncio.Event) -> None:
        headers = {"host": HOST} | ({"authorization": f"Bearer {token}"} if token else {})
        connector = aiohttp.TCPConnector(ssl=self.trusting(certificate))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as own,
            own.get(self._url("/streams/live"), headers=headers) as answer,
        ):
            assert answer.status == 200, await answer.text()
            try:
                async for _ in answer.content:
                    begun.set()
            except aiohttp.ClientError:
                return  # reset, as it should be

    def trusting(self, certificate: Leaf | None) -> ssl.SSLContext:
        """TLS of a caller, who may show a certificate."""
        context = ssl.create_default_context(cadata=SERVER.pem.decode())
        if certificate is not None:
            context.load_cert_chain(*certificate.write(self.folder, f"client-{secrets.token_hex(4)}"))
        return context

    async def exchange(
        self, form: Mapping[str, str], dpop: str = "", shown: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """An answer of the token service."""
        body = urlencode(form).encode()
        sent = {"host": HOST, "content-type": FORM, **(shown or {}), **({"dpop": dpop} if dpop else {})}
        async with self.session.post(self._url(EXCHANGE_PATH), data=body, headers=sent) as answer:
            return answer.status, await answer.json()

    async def register(self, name: str, *keys: str) -> None:
        """An agent that may act for anybody, with the thumbprints of its keys."""
        profile = Profile(
            id=name, owner="team:a", purpose="p", model="m", version="1", expires=4e9, may_act_for=("*",), keys=keys
        )
        await self.gateway.registrar.order(Order(verb="add", agent=name, by="test", reason="", profile=profile))

    def signed(self, message: Message, *components: str, **parameters: Any) -> dict[str, str]:
        """The headers that the agent's signature adds to a request."""
        now = int(time.time())
        given: dict[str, Any] = {"created": now, "expires": now + 60, "nonce": secrets.token_hex(8)}
        signed = self.signer.sign(message, components or _COVERED, **given | {"tag": "web-bot-auth"} | parameters)
        return {name.lower(): value for name, value in signed.headers[-2:]}


_COVERED = ('"@method"', '"@authority"', '"@path"')


def request(path: str = "/accounts/1001", **changes: Any) -> Message:
    """A request as its sender signs it."""
    plain = Message(method="GET", scheme="https", authority=HOST, path=path)
    return msgspec.structs.replace(plain, **changes)


def proof(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, method: str, path: str, token: str = "", **changes: Any
) -> str:
    """A DPoP proof."""
    claims = {"jti": secrets.token_hex(16), "htm": method, "htu": f"https://{HOST}{path}", "iat": int(time.time())}
    if token:
        claims["ath"] = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA"
    jwk = KINDS[algorithm].to_jwk(key.public_key(), as_dict=True)
    return jwt.encode(claims | changes, key, algorithm, {"typ": "dpop+jwt", "jwk": jwk})


@asynccontextmanager
async def front(**changes: Any) -> AsyncIterator[Front]:
    """All of it, until the block ends; the agent that signs is registered as `agent:signer`. `changes` of the
    configuration.
    """
    issuer, key = issuers()["ES256"], ed25519.Ed25519PrivateKey.generate()
    signer = Agent(key)
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="edge-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        seen: list[Any] = []
        bodies: list[bytes] = []
        published = [issuer.jwk()]
        upstream = await _upstream(stack, seen, bodies, published)
        config = _config(folder, upstream, await _directory(stack, folder, signer), issuer)
        config = config.model_copy(update={name: change(config) for name, change in changes.items()})
        gateway = await stack.enter_async_context(Gateway.open(config))
        await stack.enter_async_context(envoy(config, folder / "run"))
        trust = ssl.create_default_context(cadata=SERVER.pem.decode())
        connector = aiohttp.TCPConnector(ssl=trust)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        await until(EnvoyAdmin(folder / "run" / ADMIN_SOCKET).ready, "the edge is ready")
        born = gateway.identification.born
        await until(lambda: time.time() >= int(born) + 1, "what is proven now is younger than what remembers proofs")
        edge = Front(config.edge.port, folder, issuer, signer, key, session, gateway, seen, published, bodies)
        await edge.register("agent:signer", signer.keyid)
        yield edge


def _config(folder: Path, upstream: int, directory: int, issuer: Signs) -> Config:
    (folder / "run").mkdir()
    (folder / "rules.rego").write_text(RULES)
    (folder / "response.rego").write_text(RESPONSE)
    (folder / "server-ca.pem").write_bytes(SERVER.pem)
    (folder / "workloads.pem").write_bytes(WORKLOADS.pem)
    certificate, key = SERVER.leaf(other=(x509.DNSName("localhost"),)).write(folder, "edge")
    jwks = f"http://127.0.0.1:{upstream}/jwks-of-the-issuer"
    return Config(
        state=folder,
        edge=Edge(port=free_port(), access_log_flush_ms=10, tls=Tls(certificate=certificate, key=key)),
        services={"accounts": Service(address="127.0.0.1", port=upstream)},
        routes=(
            Route(prefix="/streams/", service="accounts", stream=True),
            Route(prefix="/payments", service="accounts", body_bytes=1000),
            Route(prefix="/", service="accounts"),
        ),
        identity=Identity(
            ca=folder / "server-ca.pem",
            issuers=(
                Issuer(
                    issuer=issuer.name,
                    jwks_url=jwks,
                    audience=AUDIENCE,
                    vouches_for=("person", "workload", "agent"),
                    leeway_seconds=LEEWAY,
                ),
            ),
            trust_domains=(TrustDomain(name=DOMAIN, bundle=folder / "workloads.pem"),),
            dpop=Dpop(),
            authorities=(HOST,),
            signatures=HttpSignatures(directories=(f"https://localhost:{directory}",)),
        ),
        policy=Policy(paths=(folder / "rules.rego", folder / "response.rego")),
        token_service=TokenService(issuer=OURS, audiences={AUDIENCE: (AUDIENCE,)}, life_seconds=120),
    )


async def _upstream(stack: AsyncExitStack, seen: list[Any], bodies: list[bytes], published: list[Any]) -> int:
    async def live(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"data: x\n\n")
                await asyncio.sleep(0.01)
        return response

    async def keep(request: web.Request) -> web.Response:
        seen.append(request.headers.copy())
        bodies.append(await request.read())
        return web.Response(text="ok")

    async def jwks(request: web.Request) -> web.Response:
        return web.json_response({"keys": published})

    app = web.Application()
    app.router.add_get("/jwks-of-the-issuer", jwks)
    app.router.add_get("/streams/live", live)
    app.router.add_route("*", "/{tail:.*}", keep)
    return await _site(stack, app)


async def _directory(stack: AsyncExitStack, folder: Path, signer: Agent) -> int:
    async def keys(request: web.Request) -> web.Response:
        return web.json_response({"keys": [signer.jwk]}, content_type=MEDIA_TYPE)

    app = web.Application()
    app.router.add_get(WELL_KNOWN, keys)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*SERVER.leaf(other=(x509.DNSName("localhost"),)).write(folder, "directory"))
    return await _site(stack, app, context)


async def _site(stack: AsyncExitStack, app: web.Application, context: ssl.SSLContext | None = None) -> int:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return int(runner.addresses[0][1])
