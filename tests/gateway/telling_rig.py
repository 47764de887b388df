"""The Shared Signals transmitter for tests: served on a Unix socket, asked by clients, heard by a real receiver."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.datastructures import Headers

from gateway.config import SignalsReceiver, SignalsTransmitter
from gateway.decision_api import Bounds, serve_unix
from gateway.signals.transmitter import (
    LARGEST,
    Patience,
    Store,
    Told,
    Transmitter,
    session_revoked,
    transmitter_application,
)
from gateway.transactions import SigningKey

ISSUER = "https://tr.example.com"
NOW = 1_800_000_000.0
DEADLINE = 20.0  # seconds for anything to happen
REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
RISK = "https://schemas.openid.net/secevent/caep/event-type/risk-level-change"
UPDATED = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
KEY = SigningKey.of(ec.generate_private_key(ec.SECP256R1()), 0.0)
QUICK = Patience(answer=0.2, first=0.01, longest=0.05)


def settings(**changes: Any) -> SignalsTransmitter:
    """Two receivers, "a" and "b", of which the second may hear of risks only. Changes are the first one's."""
    default_subjects = changes.pop("default_subjects", "ALL")
    a = {"id": "a", "audience": "https://a.example", "push_prefixes": ("https://receiver.example.com/",)}
    b = {"id": "b", "audience": "https://b.example", "events": ("risk-level-change",)}
    most = {"max_waiting": changes.pop("max_waiting", 10_000)}
    receivers = (SignalsReceiver(**(a | most | changes)), SignalsReceiver(**(b | most)))
    return SignalsTransmitter(issuer=ISSUER, receivers=receivers, default_subjects=default_subjects)


def revoked(user: str = "alice", txn: str = "t") -> Told:
    """What is told of a cut."""
    return session_revoked({"format": "email", "email": f"{user}@example.com"}, txn, NOW - 1, "policy", "Too far away")


def read(token: str, audience: str = "https://a.example") -> dict[str, Any]:
    """The claims of a token, verified as a receiver does."""
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "secevent+jwt", "kid": KEY.kid}
    options: Any = {"verify_iat": False}
    claims: dict[str, Any] = jwt.decode(
        token, KEY.private.public_key(), ["ES256"], audience=audience, issuer=ISSUER, options=options
    )
    return claims


@dataclass
class Office:
    """A transmitter that is being asked."""

    transmitter: Transmitter
    socket: Path
    time: list[float]

    async def ask(self, method: str, path: str, who: str = "a", **how: Any) -> tuple[int, Any]:
        """Status and content of an answer."""
        connector = aiohttp.UnixConnector(str(self.socket))
        headers = {"Authorization": f"Bearer {who}", **how.pop("headers", {})}
        timeout = aiohttp.ClientTimeout(DEADLINE)
        async with (
            aiohttp.ClientSession("http://ssf", connector=connector, timeout=timeout) as session,
            session.request(method, f"/ssf/{path}", headers=headers, **how) as answer,
        ):
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" and text else None

    async def ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(DEADLINE):
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    await self.ask("GET", "configuration")
                    return
                await asyncio.sleep(0.005)

    async def create(self, who: str = "a", **body: Any) -> str:
        """A new stream's id."""
        status, made = await self.ask("POST", "streams", who, json=body)
        assert status == 201, made
        return str(made["stream_id"])

    async def poll(self, stream: str, who: str = "a", **body: Any) -> dict[str, dict[str, Any]]:
        """The claims of what came, by jti, in order."""
        body = {"returnImmediately": True} | body
        status, answer = await self.ask("POST", f"poll/{stream}", who, json=body)
        assert status == 200, answer
        return {jti: read(token, f"https://{who}.example") for jti, token in answer["sets"].items()}

    async def status(self, stream: str) -> Any:
        """What it says."""
        return (await self.ask("GET", f"status?stream_id={stream}"))[1]


@asynccontextmanager
async def office(folder: Path, known: SignalsTransmitter | None = None, **how: Any) -> AsyncIterator[Office]:
    """Serve on a Unix socket, and push."""
    time, socket = [NOW], folder / "ssf.sock"
    socket.unlink(missing_ok=True)
    async with aiohttp.ClientSession() as session:
        store = await asyncio.to_thread(Store, folder / "signals.db")
        whole: dict[str, Any] = {"clock": lambda: time[0], "patience": QUICK, "long_poll": 0.3} | how
        transmitter = Transmitter(store, known or settings(), lambda: KEY, session, **whole)
        application = transmitter_application(transmitter, _identify)
        serving = serve_unix(application, socket, Bounds(LARGEST, DEADLINE), 16)
        tasks = [asyncio.create_task(serving), asyncio.create_task(transmitter.run())]
        made = Office(transmitter, socket, time)
        try:
            await made.ready()
            yield made
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await transmitter.close()


async def _identify(headers: Headers) -> str | None:
    return headers.get("authorization", "").removeprefix("Bearer ") or None


@dataclass
class LocalReceiver:
    """A push endpoint. It answers with the next of `answers`, then always 202; None is no answer at all."""

    url: str = ""
    answers: list[tuple[int, Any] | None] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)  # the claims of all that came
    headers: list[dict[str, str]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)  # what was answered 202
    elsewhere: int = 0

    async def receive(self, request: web.Request) -> web.Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        claims = read((await request.read()).decode())
        self.heard.append(claims)
        answer = self.answers.pop(0) if self.answers else (202, None)
        if answer is None:
            await asyncio.Event().wait()
        assert answer
        status, said = answer
        if status == 202:
            self.taken.append(claims)
        headers = {"Location": f"{self.url}/elsewhere"} if status == 307 else {}
        return web.Response(status=status, text=json.dumps(said) if said else "", headers=headers)

    async def other(self, _: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response(status=202)

    @asynccontextmanager
    async def serving(self, port: int | None = None) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/events", self.receive)
        app.router.add_post("/elsewhere", self.other)
        async with TestServer(app, port=port) as server:
            self.url = str(server.make_url("")).rstrip("/")
            yield

    def delivery(self, **more: str) -> dict[str, str]:
        return {"method": "urn:ietf:rfc:8935", "endpoint_url": f"{self.url}/events", **more}


async def until(happened: Callable[[], bool]) -> None:
    """Wait for it, with a deadline."""
    async with asyncio.timeout(DEADLINE):
        while True:
            if happened():
                return
            await asyncio.sleep(0.005)


def emails(sets: Any) -> list[str]:
    """Whom events are about."""
    return [claims["sub_id"].get("email", "-").partition("@")[0] for claims in sets]
