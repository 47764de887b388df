"""A gateway's hand: keys, tokens signed with them, and a server that publishes them."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

NOW = 1_800_000_000
GATEWAY = "urn:portcullis:gateway"
SERVICE = "payments"
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def claims(now: float = NOW, **changes: Any) -> dict[str, Any]:
    """What the gateway says of one request; None leaves a claim out."""
    base = {
        "iss": GATEWAY,
        "aud": SERVICE,
        "sub": "person:alice",
        "txn": "txn-1",
        "iat": int(now),
        "exp": int(now) + 15,
        "scope": "accounts:read payments:write",
        "req_wl": GATEWAY,
        "rctx": {"iss": "https://issuer.bank.example", "authn": ["dpop"]},
        "tctx": {
            "act": {"sub": "agent:invoice-bot", "act": {"sub": "agent:planner"}},
            "acr": "urn:bank:strong",
            "auth_time": NOW - 60.0,
            "client": "web",
            "obligations": {"log": "full"},
        },
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


def signed(
    key: Any = KEY, alg: str = "ES256", headers: dict[str, Any] | None = None, now: float = NOW, **changes: Any
) -> str:
    """A token as the gateway signs it, but for the changes."""
    return jwt.encode(claims(now, **changes), key, alg, {"typ": "txntoken+jwt", "kid": "k1"} | (headers or {}))


def fresh(**changes: Any) -> str:
    """A token that lives now."""
    return signed(now=time.time(), **changes)


def published(**keys: ec.EllipticCurvePrivateKey) -> bytes:
    """A JWK Set of these keys by id."""
    entries = [ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} for kid, key in keys.items()]
    return json.dumps({"keys": entries}).encode()


def key_file(folder: Path) -> Path:
    """The gateway's JWK Set in a file."""
    path = folder / "jwks.json"
    path.write_bytes(published(k1=KEY))
    return path


class Publisher:
    """Serves a JWK Set, counts who asks, and holds the answer back while `gate` is closed."""

    def __init__(self) -> None:
        self.document = published(k1=KEY)
        self.status = 200
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()
        self.url = ""


@contextmanager
def publisher(tls: ssl.SSLContext | None = None) -> Iterator[Publisher]:
    """One on a port of its own, with TLS where it has a certificate."""
    served = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked += 1
            served.gate.wait(10)
            self.send_response(served.status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", str(len(served.document)))
            self.end_headers()
            self.wfile.write(served.document)

        def log_message(self, *_: Any) -> None:
            """Nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    served.url = f"{scheme}://127.0.0.1:{server.server_port}/.well-known/portcullis/jwks.json"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in a thread
            await asyncio.sleep(0.005)
