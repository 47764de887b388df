"""A local issuer for tests: metadata, keys and introspection, over HTTP; it can rotate, lie, dawdle and be away."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.config import Issuer


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public(kid: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return entry | {"kid": kid}


class LocalIssuer:
    """What the issuer's endpoints answer, and how often each was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = {"k1": new_key()}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.asked: Counter[str] = Counter()
        self.forms: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.instead: tuple[int, bytes, dict[str, str]] | None = None  # what it answers to everything
        self.metadata: dict[str, Any] = {}  # what its metadata says otherwise
        self.open = asyncio.Event()  # closed: it takes questions and does not answer
        self.open.set()
        self.arrived = asyncio.Event()

    def config(self, **changes: Any) -> Issuer:
        """This issuer as configured; without validation, so that times can be as short as a test wants."""
        return Issuer(issuer=self.url, audience="bank", vouches_for=("person", "workload", "agent")).model_copy(
            update=changes
        )

    async def _answer(self, name: str, body: dict[str, Any]) -> web.Response:
        self.asked[name] += 1
        answer = json.dumps(body)  # as it is when the question comes
        self.arrived.set()
        await self.open.wait()
        if self.instead is not None:
            status, text, headers = self.instead
            return web.Response(status=status, body=text, headers=headers)
        return web.Response(text=answer, content_type="application/json")

    async def discovery(self, _request: web.Request) -> web.Response:
        told = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks", "introspection_endpoint": f"{self.url}/introspect"}
        return await self._answer("metadata", told | self.metadata)

    async def jwks(self, _request: web.Request) -> web.Response:
        return await self._answer("jwks", {"keys": [public(kid, key) for kid, key in self.keys.items()]})

    async def introspect(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        self.forms.append(form)
        self.authorizations.append(request.headers.get("Authorization", ""))
        return await self._answer("introspect", self.tokens.get(str(form.get("token")), {"active": False}))

    async def elsewhere(self, _request: web.Request) -> web.Response:
        self.asked["elsewhere"] += 1
        return web.json_response({"keys": [public("evil", new_key())], "active": True})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self.discovery)
        app.router.add_get("/jwks", self.jwks)
        app.router.add_post("/introspect", self.introspect)
        app.router.add_route("*", "/elsewhere", self.elsewhere)
        async with TestServer(app) as server:
            self.url = str(server.make_url("")).rstrip("/")
            try:
                yield
            finally:
                self.open.set()
