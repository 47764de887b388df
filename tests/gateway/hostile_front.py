"""The whole gateway behind a real Envoy, before services of every kind; nobody may see what is under `NAME/admin`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jwt

from bench.identities.callers import HOST
from gateway.config import Config, Edge, Policy, Route, Service
from tests.gateway.front import Front, front
from tests.gateway.upstreams import NAMES, Upstreams, upstreams
from tests.gateway.upstreams_python import Seen
from verifier import NotVerified, read_keys, verify

# Whatever is not forbidden is allowed: so a spelling that policy does not see through is found.
RULES = """package portcullis.access

decision := {"effect": "allow", "reasons": ["known"]} if not forbidden

decision := {"effect": "deny", "reasons": ["forbidden"]} if forbidden

forbidden if split(input.path, "/")[2] == "admin"
"""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
PATIENCE = 5.0  # seconds for an answer
QUIET = 0.3  # seconds without a word after which the edge waits for more, and gets none


@dataclass(frozen=True)
class Hostile:
    """The edge, and what is behind it."""

    edge: Front
    behind: Upstreams

    def bearer(self, who: str) -> str:
        """An `authorization` of a person."""
        return f"Bearer {self.edge.issuer.token(sub=f'person:{who}')}"

    def unproven(self, seen: Iterable[Seen]) -> list[tuple[Seen, str]]:
        """What did not come with one transaction token of its own caller's; and why that is."""
        return [(one, why) for one in seen if (why := self._wrong(one))]

    def _wrong(self, one: Seen) -> str:
        """Of a token that was good when it was made: reading takes longer than it lives."""
        if len(one.transaction) != 1:
            return f"{len(one.transaction)} tokens"
        keys = read_keys(self.edge.gateway.signing.ring.jwks())
        try:
            made = jwt.decode(one.transaction[0], options={"verify_signature": False})["iat"]
            told = verify(one.transaction[0], keys, issuer="urn:portcullis:gateway", audience=one.service, now=made)
        except (NotVerified, jwt.PyJWTError) as error:
            return str(error)
        return "" if told.subject == f"person:{one.caller}" else f"{told.subject} is not {one.caller}"


@asynccontextmanager
async def hostile_front(folder: Path, tls: bool = False) -> AsyncIterator[Hostile]:
    """All of it until the block ends: `/NAME/` is of the service NAME, `/NAME/live/` a stream."""
    async with (
        upstreams(folder) as behind,
        front(
            edge=partial(_edge, tls),
            services=lambda config: config.services | {name: _service(behind, name) for name in NAMES},
            routes=lambda config: _routes(),
            policy=_policy,
        ) as edge,
    ):
        yield Hostile(edge, behind)


def _edge(tls: bool, config: Config) -> Edge:
    """Which waits for the gateway longer than a busy machine makes it."""
    return config.edge.model_copy(update={"tls": config.edge.tls if tls else None, "authorize_timeout_ms": 10_000})


def _service(behind: Upstreams, name: str) -> Service:
    return Service(address="127.0.0.1", port=behind.ports[name], protocol="http2" if name == "go2" else "http1")


def _routes() -> tuple[Route, ...]:
    streams = (Route(prefix=f"/{name}/live/", service=name, stream=True) for name in NAMES)
    return (*streams, *(Route(prefix=f"/{name}/", service=name) for name in NAMES))


def _policy(config: Config) -> Policy:
    rules = config.state / "hostile.rego"
    rules.write_text(RULES)
    return Policy(paths=(rules, config.state / "response.rego"))


async def talk(port: int, *sent: bytes, quiet: float = PATIENCE) -> bytes:
    """All that is answered to these bytes, until the connection is closed or `quiet` seconds pass without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = b""
    try:
        with suppress(TimeoutError, ConnectionError):
            for part in sent:
                writer.write(part)
                await writer.drain()
            while more := await asyncio.wait_for(reader.read(65_536), quiet):
                answered += more
    finally:
        writer.transport.abort()
    return answered


def get(target: str | bytes, *headers: str | bytes, method: str = "GET", host: str | bytes = HOST) -> bytes:
    """A request that is the last of its connection."""
    raw = [_bytes(line) for line in (f"host: {host}" if isinstance(host, str) else b"host: " + host, *headers)]
    first = method.encode() + b" " + _bytes(target) + b" HTTP/1.1"
    return b"\r\n".join([first, *raw, b"connection: close", b"", b""])


def _bytes(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text


def status(answer: bytes) -> int:
    """Of an HTTP/1 answer; 0 where there is none."""
    found = _STATUS.match(answer)
    return int(found[1]) if found else 0
