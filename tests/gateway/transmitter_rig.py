"""A local transmitter for tests: metadata, keys, one stream, polls, verification; it can lie, dawdle and be away."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.config import Transmitter
from gateway.signals import CAEP, CAEP_TYPES, VERIFICATION
from tests.gateway.issuer_rig import new_key, public
from tests.gateway.token_rig import STRANGER, signed

HERE = "https://gateway.bank.example"
TOKEN = "management-token-of-ours"
POLL, PUSH = "urn:ietf:rfc:8936", "urn:ietf:rfc:8935"
SESSION_REVOKED = CAEP + "session-revoked"


class LocalTransmitter:
    """What the transmitter's endpoints answer, what they were asked, and what waits to be polled."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = {"k1": new_key()}
        self.asked: Counter[str] = Counter()
        self.polls: list[dict[str, Any]] = []
        self.changed = asyncio.Condition()  # after each poll
        self.in_flight = self.most_in_flight = 0
        self.waiting: dict[str, str] = {}  # tokens by jti, until they are acknowledged
        self.streams: dict[str, dict[str, Any]] = {}
        self.states: list[str] = []
        self.status = "enabled"
        self.authorizations: set[str] = set()
        self.metadata: dict[str, Any] = {}  # what its metadata says otherwise
        self.instead: dict[str, tuple[int, bytes]] = {}  # what it answers, by endpoint
        self.stream_changes: dict[str, Any] = {}  # what it says otherwise of a stream
        self.one_stream = False  # it lets nobody have a second one
        self.echo = True  # it sends verification events
        self.number = 0

    def config(self, **changes: Any) -> Transmitter:
        base = {"issuer": self.url, "audience": HERE, "delivery": "poll", "token": TOKEN}
        return Transmitter(**(base | changes))

    def token(self, kid: str = "k1", **changes: Any) -> tuple[str, str]:
        """A token of its, with its jti, by a key that calls itself so."""
        self.number += 1
        claims = {
            "iss": self.url,
            "aud": HERE,
            "iat": int(time.time()),
            "jti": f"p-{self.number}",
            "sub_id": {"format": "opaque", "id": "s-1"},
            "events": {SESSION_REVOKED: {}},
        } | changes
        return str(claims["jti"]), signed(claims, self.keys.get(kid, STRANGER), typ="secevent+jwt", kid=kid)

    def put(self, **changes: Any) -> str:
        """Let a token wait to be polled; its jti."""
        jti, token = self.token(**changes)
        self.waiting[jti] = token
        return jti

    def verification(self, state: str | None, stream: str = "stream-1") -> dict[str, Any]:
        said = {} if state is None else {"state": state}
        return {"sub_id": {"format": "opaque", "id": stream}, "events": {VERIFICATION: said}}

    async def polled(self, times: int) -> None:
        """Wait until so many polls have come."""
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: len(self.polls) >= times)

    def _asked(self, name: str, request: web.Request) -> web.Response | None:
        self.asked[f"{request.method} {name}"] += 1
        self.authorizations.add(request.headers.get("Authorization", ""))
        if name in self.instead:
            status, body = self.instead[name]
            return web.Response(status=status, body=body)
        return None

    async def _metadata(self, request: web.Request) -> web.Response:
        told = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "configuration_endpoint": f"{self.url}/stream",
            "status_endpoint": f"{self.url}/status",
            "verification_endpoint": f"{self.url}/verify",
            "critical_subject_members": ["user"],
        }
        return self._asked("metadata", request) or web.json_response(told | self.metadata)

    async def _jwks(self, request: web.Request) -> web.Response:
        keys = {"keys": [public(kid, key) for kid, key in self.keys.items()]}
        return self._asked("jwks", request) or web.json_response(keys)

    async def _stream(self, request: web.Request) -> web.Response:
        instead = self._asked("stream", request)
        if instead is not None:
            return instead
        if request.method == "GET":
            return web.json_response(list(self.streams.values()))
        wanted = await request.json()
        if request.method == "POST":
            if self.one_stream and self.streams:
                return web.Response(status=409)
            wanted["stream_id"] = f"stream-{len(self.streams) + 1}"
        stream = {"iss": self.url, "aud": [HERE], "events_delivered": list(CAEP_TYPES)} | wanted
        if stream["delivery"]["method"] == POLL:
            stream["delivery"]["endpoint_url"] = f"{self.url}/poll"
        self.streams[stream["stream_id"]] = stream | self.stream_changes
        return web.json_response(stream | self.stream_changes, status=201 if request.method == "POST" else 200)

    async def _status(self, request: web.Request) -> web.Response:
        answer = {"stream_id": request.query["stream_id"], "status": self.status}
        return self._asked("status", request) or web.json_response(answer)

    async def _verify(self, request: web.Request) -> web.Response:
        instead = self._asked("verify", request)
        if instead is not None:
            return instead
        asked = await request.json()
        self.states.append(asked["state"])
        if self.echo:
            self.put(**self.verification(asked["state"], asked["stream_id"]))
        return web.Response(status=204)

    async def _poll(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            instead = self._asked("poll", request)
            asked = await request.json()
            self.polls.append(asked)
            if instead is not None:
                return instead
            for jti in (*asked.get("ack", ()), *asked.get("setErrs", {})):
                self.waiting.pop(jti, None)
            sets = dict(list(self.waiting.items())[: asked["maxEvents"]])
            return web.json_response({"sets": sets, "moreAvailable": len(sets) < len(self.waiting)})
        finally:
            self.in_flight -= 1
            async with self.changed:
                self.changed.notify_all()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[LocalTransmitter]:
        app = web.Application()
        app.router.add_get("/.well-known/ssf-configuration", self._metadata)
        app.router.add_get("/jwks", self._jwks)
        app.router.add_route("*", "/stream", self._stream)
        app.router.add_get("/status", self._status)
        app.router.add_post("/verify", self._verify)
        app.router.add_post("/poll", self._poll)
        async with TestServer(app) as server:
            self.url = str(server.make_url("")).rstrip("/")
            yield self


@asynccontextmanager
async def transmitting() -> AsyncIterator[tuple[LocalTransmitter, aiohttp.ClientSession]]:
    """A transmitter, and who asks it."""
    async with LocalTransmitter().serving() as made, aiohttp.ClientSession() as session:
        yield made, session


def body(value: Any) -> bytes:
    return json.dumps(value).encode()
