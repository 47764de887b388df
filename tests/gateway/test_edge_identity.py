"""Identity through the real edge: the whole gateway behind a real Envoy, honest callers and hostile ones."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import resource
import secrets
import shutil
import tempfile
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from bench.identities.callers import AUDIENCE, Signs, issuers
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
    TokenService,
)
from gateway.edge import ADMIN_SOCKET, EXCHANGE_PATH, EnvoyAdmin
from tests.gateway.edge_rig import envoy, free_port, until
from verifier import NotVerified, read_keys, verify

HOSTILE = 10_000 if os.environ.get("PORTCULLIS_PROVE") == "1" else 300
OURS = "https://bank.example/portcullis"
RULES = """package portcullis.access

decision := {"effect": "allow", "reasons": ["known"]} if input.principal.id
"""
RESPONSE = """package portcullis.response

response := {"blocks": set(), "risks": set(), "why": ""}
"""


@dataclass
class Front:
    """The edge, whose issuer we are, and what its upstream was sent."""

    port: int
    issuer: Signs
    session: aiohttp.ClientSession
    gateway: Gateway
    upstream: list[Any] = field(default_factory=list)

    async def get(self, path: str = "/accounts/1001", **headers: str) -> tuple[int, str]:
        """Status and challenge."""
        url = f"http://127.0.0.1:{self.port}{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(url, headers={"host": "bank.example", **named}) as answer:
            await answer.read()
            return answer.status, answer.headers.get("www-authenticate", "")

    async def exchange(self, form: dict[str, str], dpop: str) -> tuple[int, dict[str, Any]]:
        """An answer of the token service."""
        headers = {"host": "bank.example"} | ({"dpop": dpop} if dpop else {})
        url = f"http://127.0.0.1:{self.port}{EXCHANGE_PATH}"
        async with self.session.post(url, data=form, headers=headers) as answer:
            return answer.status, await answer.json()

    async def register(self, name: str) -> None:
        profile = Profile(id=name, owner="team:a", purpose="p", model="m", version="1", expires=4e9, may_act_for=("*",))
        await self.gateway.registrar.order(Order(verb="add", agent=name, by="test", reason="", profile=profile))


def proof(key: ec.EllipticCurvePrivateKey, method: str, path: str, token: str = "") -> str:
    claims = {"jti": secrets.token_hex(16), "htm": method, "htu": f"http://bank.example{path}", "iat": int(time.time())}
    if token:
        claims["ath"] = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return jwt.encode(claims, key, "ES256", {"typ": "dpop+jwt", "jwk": jwk})


@asynccontextmanager
async def front() -> AsyncIterator[Front]:
    issuer = issuers()["ES256"]
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="edge-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "run").mkdir()
        (folder / "rules.rego").write_text(RULES)
        (folder / "response.rego").write_text(RESPONSE)
        seen: list[Any] = []
        upstream, keys = await _serve(stack, seen, issuer)
        config = Config(
            state=folder,
            edge=Edge(port=free_port(), access_log_flush_ms=10),
            services={"accounts": Service(address="127.0.0.1", port=upstream)},
            routes=(
                Route(prefix="/streams/", service="accounts", stream=True),
                Route(prefix="/", service="accounts"),
            ),
            identity=Identity(
                issuers=(Issuer(issuer=issuer.name, jwks_url=keys, audience=AUDIENCE),),
                dpop=Dpop(),
                signatures=HttpSignatures(authorities=("bank.example",)),
                scheme="http",
            ),
            policy=Policy(paths=(folder / "rules.rego", folder / "response.rego")),
            token_service=TokenService(issuer=OURS, audiences={AUDIENCE: (AUDIENCE,)}, life_seconds=120),
        )
        gateway = await stack.enter_async_context(Gateway.open(config))
        await stack.enter_async_context(envoy(config, folder / "run"))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await until(EnvoyAdmin(folder / "run" / ADMIN_SOCKET).ready, "the edge is ready")
        yield Front(config.edge.port, issuer, session, gateway, seen)


async def _serve(stack: AsyncExitStack, seen: list[Any], issuer: Signs) -> tuple[int, str]:
    async def keep(request: web.Request) -> web.Response:
        seen.append(request.headers.copy())
        return web.Response(text="ok")

    async def jwks(request: web.Request) -> web.Response:
        return web.json_response({"keys": [issuer.jwk()]})

    app = web.Application()
    app.router.add_get("/jwks-of-the-issuer", jwks)
    app.router.add_route("*", "/{tail:.*}", keep)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = int(runner.addresses[0][1])
    return port, f"http://127.0.0.1:{port}/jwks-of-the-issuer"


async def test_the_upstream_gets_a_transaction_token_and_nothing_that_the_caller_showed() -> None:
    async with front() as edge:
        bearer = f"Bearer {edge.issuer.token(sub='person:alice')}"
        assert (await edge.get(authorization=bearer, txn_token="forged", dpop="x", signature="x"))[0] == 200
        (headers,) = edge.upstream
        assert not {"authorization", "dpop", "signature", "signature-input"} & {name.lower() for name in headers}
        assert len(headers.getall("txn-token")) == 1
        async with edge.session.get(f"http://127.0.0.1:{edge.port}/.well-known/portcullis/jwks.json") as answer:
            assert answer.headers["content-type"] == "application/json"
            keys = read_keys(await answer.read())
        token = headers["txn-token"]
        found = verify(token, keys, issuer="urn:portcullis:gateway", audience="accounts")
        assert (found.subject, found.vouched_by) == ("person:alice", edge.issuer.name)
        with pytest.raises(NotVerified):
            verify(token, keys, issuer="urn:portcullis:gateway", audience="accounts", now=time.time() + 30)
        assert len(edge.upstream) == 1


async def test_no_credentials_are_challenged_for_each_way_to_prove_oneself() -> None:
    async with front() as edge:
        assert await edge.get() == (401, 'Bearer realm="portcullis", DPoP realm="portcullis", algs="ES256 EdDSA"')


async def test_a_person_hands_her_agent_a_narrower_token_and_nobody_else_can_use_it() -> None:
    async with front() as edge:
        key = ec.generate_private_key(ec.SECP256R1())
        await edge.register("agent:invoice-bot")
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": edge.issuer.token(sub="person:alice"),
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "actor_token": edge.issuer.token(sub="agent:invoice-bot"),
            "actor_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "scope": "accounts:read",
        }
        status, told = await edge.exchange(form, proof(key, "POST", EXCHANGE_PATH))
        assert (status, told["token_type"], told["scope"]) == (200, "DPoP", "accounts:read")
        token = told["access_token"]
        shown = {"authorization": f"DPoP {token}"}
        assert (await edge.get(**shown, dpop=proof(key, "GET", "/accounts/1001", token)))[0] == 200
        keys = read_keys(edge.gateway.signing.ring.jwks())
        named = verify(edge.upstream[-1]["txn-token"], keys, issuer="urn:portcullis:gateway", audience="accounts")
        assert (named.subject, named.actors) == ("person:alice", ("agent:invoice-bot",))
        assert (named.scopes, named.proof, named.vouched_by) == (("accounts:read",), ("bearer", "dpop"), OURS)
        thief = ec.generate_private_key(ec.SECP256R1())
        assert (await edge.get(**shown, dpop=proof(thief, "GET", "/accounts/1001", token)))[0] == 401
        assert (await edge.get(authorization=f"Bearer {token}"))[0] == 401
        wider = form | {"scope": "accounts:read admin"}
        assert (await edge.exchange(wider, proof(key, "POST", EXCHANGE_PATH)))[1]["error"] == "invalid_scope"
        stranger = form | {"actor_token": edge.issuer.token(sub="agent:unregistered")}
        assert (await edge.exchange(stranger, proof(key, "POST", EXCHANGE_PATH)))[0] == 400
        unbound = await edge.exchange(form, "")
        assert (unbound[0], unbound[1]["error"]) == (400, "invalid_request")
        assert (await edge.exchange(form, "not.a.proof"))[1]["error"] == "invalid_dpop_proof"


@pytest.mark.prove
async def test_whatever_hostile_callers_show_nobody_gets_in_and_nothing_breaks() -> None:
    rng = random.Random(5)
    async with front() as edge:
        good = edge.issuer.token(sub="person:alice")
        assert (await edge.get(authorization=f"Bearer {good}"))[0] == 200
        answers: dict[int, int] = {}
        hostile = list(_hostile(edge.issuer, good, rng))
        await _all(edge, hostile[: HOSTILE // 3], answers)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await _all(edge, hostile[HOSTILE // 3 :], answers)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert set(answers) <= {400, 401, 403, 431}, answers
        assert sum(answers.values()) == HOSTILE
        assert len(edge.upstream) == 1  # the good one
        assert grown < 50_000  # KiB
        assert (await edge.get(authorization=f"Bearer {good}"))[0] == 200


async def _all(edge: Front, hostile: list[dict[str, str]], answers: dict[int, int]) -> None:
    turns = asyncio.Semaphore(16)

    async def one(headers: dict[str, str]) -> None:
        async with turns:
            status, _ = await edge.get(f"/accounts/{secrets.randbelow(9000)}", **headers)
        answers[status] = answers.get(status, 0) + 1

    await asyncio.gather(*map(one, hostile))


def _hostile(issuer: Signs, good: str, rng: random.Random) -> Iterator[dict[str, str]]:
    """So many requests, none of which proves anybody."""
    kinds = (_mutated, _other_claims, _other_header, _odd_authorization, _odd_proof, _odd_signature)
    for number in range(HOSTILE):
        yield kinds[number % len(kinds)](issuer, good, rng)


def _mutated(issuer: Signs, good: str, rng: random.Random) -> dict[str, str]:
    """One character of a good token is another one."""
    at = rng.randrange(len(good))
    other = rng.choice([one for one in "ABCabc019-_." if one != good[at]])
    return {"authorization": f"Bearer {good[:at]}{other}{good[at + 1 :]}"}


def _other_claims(issuer: Signs, good: str, rng: random.Random) -> dict[str, str]:
    """Signed by the issuer, and still no access token for us."""
    now = time.time()
    change: dict[str, Any] = rng.choice(
        [
            {"exp": now - 60},
            {"exp": now + 10**9},
            {"exp": "soon"},
            {"iat": now + 3600},
            {"nbf": now + 3600},
            {"aud": "another"},
            {"aud": []},
            {"sub": ""},
            {"sub": "person:a b"},
            {"sub": 7},
            {"act": {"sub": "agent:unregistered"}},
            {"act": "agent:x"},
            {"act": {"act": {"act": {"act": {"act": {"sub": "agent:x"}}}}}},
            {"cnf": {"jkt": "x" * 43}},
            {"cnf": {"x5t#S256": "x" * 43}},
            {"cnf": {}},
            {"iss": "https://evil.example"},
        ]
    )
    return {"authorization": f"Bearer {issuer.token(**change)}"}


def _other_header(issuer: Signs, good: str, rng: random.Random) -> dict[str, str]:
    """The header says something else than what was signed."""
    first, payload, signature = good.split(".")
    header = json.loads(urlsafe_b64decode(first + "=="))
    header |= rng.choice(
        [
            {"alg": rng.choice(["none", "None", "NONE", "HS256", "RS256", "ES384", 7, None])},
            {"kid": rng.choice(["../../etc/passwd", "", "k2", "k" * 5_000, None])},
            {"crit": ["exp"]},
            {"jku": "http://127.0.0.1/jwks"},
            {"x5u": "http://127.0.0.1/c"},
            {"jwk": issuer.jwk()},
            {"typ": rng.choice(["JWT", "dpop+jwt", "logout+jwt", "secevent+jwt", 7])},
        ]
    )
    told = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return {"authorization": f"Bearer {told}.{payload}.{rng.choice([signature, '', 'AAAA'])}"}


def _odd_authorization(issuer: Signs, good: str, rng: random.Random) -> dict[str, str]:
    return {
        "authorization": rng.choice(
            [
                "Bearer",
                "Bearer  ",
                f"Bearer {good},Bearer {good}",
                f"Bearer {good} {good}",
                f"bearer\t{good}",
                f"Basic {good}",
                f"DPoP {good}",
                f"Bearer {'A' * 40_000}",
                f"Bearer {'.' * 300}",
                f"Bearer {good}.{good}",
                "Bearer " + "".join(chr(rng.randrange(33, 127)) for _ in range(200)),
            ]
        )
    }


def _odd_proof(issuer: Signs, good: str, rng: random.Random) -> dict[str, str]:
    bound = issuer.token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})
    proof = rng.choice([good, "", "x.y.z", "..", "A" * 9_000, f"{good},{good}", issuer.token(htm="GET")])
    return {"authorization": f"DPoP {bound}", "dpop": proof}


def _odd_signature(issuer: Signs, good: str, rng: random.Random) -> dict[str, str]:
    covered = rng.choice(
        ['"@authority"', '"@method" "@authority" "@path"', '"@authority" "@authority"', '"cookie"', ""]
    )
    now = int(time.time())
    parameters = f';created={now};expires={now + 60};keyid="k";nonce="{rng.random()}";tag="web-bot-auth"'
    label = rng.choice(["sig1", "sig2", "SIG"])
    value = rng.choice([":AAAA:", ":" + "A" * 88 + ":", "AAAA", "?1", ":%:", ""])
    return {"signature_input": f"sig1=({covered}){parameters}", "signature": f"{label}={value}"}
