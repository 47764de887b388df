"""Signals for tests: what transmitters and issuers sign, and the endpoints that receive it, asked without sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count
from typing import Any
from urllib.parse import urlencode

from prometheus_client import REGISTRY

from gateway.config import Config, Identity, Issuer, Logout, Route, Service, Signals, Transmitter
from gateway.identity import KeySet
from gateway.signals import CAEP, LOGOUT, Logouts, Receiver, SecurityEvent, signals_application
from tests.gateway import asgi
from tests.gateway.token_rig import KEYS, NOW, signed

TRANSMITTER = "https://transmitter.bank.example"
IDP = "https://issuer.bank.example"
HERE = "https://gateway.bank.example"
SECRET = b"s" * 32
SESSION_REVOKED = CAEP + "session-revoked"
ALICE = {"format": "iss_sub", "iss": IDP, "sub": "alice"}
_NUMBERS = count(1)


def event_claims(**changes: Any) -> dict[str, Any]:
    """The claims of a security event token, each with a jti of its own."""
    base = {
        "iss": TRANSMITTER,
        "aud": HERE,
        "iat": int(NOW),
        "jti": f"set-{next(_NUMBERS)}",
        "txn": "t-1",
        "sub_id": ALICE,
        "events": {SESSION_REVOKED: {"event_timestamp": int(NOW) - 1}},
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


def event_token(**changes: Any) -> str:
    return signed(event_claims(**changes), typ="secevent+jwt")


def logout_claims(**changes: Any) -> dict[str, Any]:
    """OIDC Back-Channel Logout 1.0 section 2.4."""
    base = {
        "iss": IDP,
        "sub": "alice",
        "aud": "portcullis",
        "iat": int(NOW),
        "exp": int(NOW) + 120,
        "jti": f"logout-{next(_NUMBERS)}",
        "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
        "events": {LOGOUT: {}},
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


def logout_token(**changes: Any) -> str:
    return signed(logout_claims(**changes), typ="logout+jwt")


def transmitter(**changes: Any) -> Transmitter:
    return Transmitter(**({"issuer": TRANSMITTER, "audience": HERE, "delivery": "unmanaged"} | changes))


def configuration(*transmitters: Transmitter, **changes: Any) -> Config:
    logout = changes.pop("logout", (Logout(issuer=IDP, client_id="portcullis"),))
    issuer = Issuer(issuer=IDP, audience="bank", algorithms=("ES256", "RS256"))
    return Config(
        services={"a": Service(address="a", port=1)},
        routes=(Route(prefix="/", service="a"),),
        identity=Identity(issuers=(issuer,)),
        signals=Signals(transmitters=transmitters or (transmitter(),), logout=logout, url=HERE, **changes),
    )


class Endpoints:
    """Both endpoints over callables that a test sets. `delivered` is what was durable."""

    def __init__(
        self, config: Config | None = None, keys: KeySet = KEYS, push_tokens: dict[str, str] | None = None
    ) -> None:
        config = config or configuration()
        self.now = NOW
        self.delivered: list[SecurityEvent] = []
        self.before: Callable[[], Awaitable[None]] | None = None  # happens before anything is durable
        self.fetched: list[str] = []
        self.keys = keys  # what a fetch brings
        self.logout_keys = keys
        self.receiver = Receiver(
            config.signals, push_tokens or {}, self.fetch, self.deliver, SECRET, clock=lambda: self.now
        )
        for one in config.signals.transmitters:
            self.receiver.put_keys(one.issuer, keys)
        self.logouts = Logouts(
            config, lambda _: self.logout_keys, self.fetch, self.deliver, SECRET, clock=lambda: self.now
        )
        self.app = signals_application(self.receiver, self.logouts)

    async def deliver(self, events: Sequence[SecurityEvent]) -> None:
        if self.before is not None:
            await self.before()
        self.delivered += events

    async def fetch(self, issuer: str) -> None:
        self.fetched.append(issuer)
        if issuer == TRANSMITTER:
            self.receiver.put_keys(issuer, self.keys)
        else:
            self.logout_keys = self.keys

    async def push(
        self, token: str | bytes, kind: str = "application/secevent+jwt", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        body = token.encode() if isinstance(token, str) else token
        base = {"content-type": kind, "accept": "application/json"}
        return await self.ask("/events", body, [*base.items(), *headers.items()])

    async def logout(self, token: str) -> tuple[int, dict[str, str], Any]:
        form = [("content-type", "application/x-www-form-urlencoded")]
        return await self.ask("/logout", urlencode({"logout_token": token}).encode(), form)

    async def ask(
        self, path: str, body: bytes, headers: Iterable[tuple[str, str]], method: str = "POST"
    ) -> tuple[int, dict[str, str], Any]:
        told = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        return await asgi.ask(self.app, {"method": method, "path": path, "headers": told}, body)

    async def error(self, token: str | bytes, **headers: str) -> str:
        """The code of a refusal, of which nothing was delivered."""
        before = len(self.delivered)
        status, names, answer = await self.push(token, **headers)
        assert status == (401 if "www-authenticate" in names else 400), (status, answer)
        assert names["content-language"] == "en"
        assert len(self.delivered) == before
        assert answer.keys() == {"err", "description"}
        return str(answer["err"])


def counted(name: str, **labels: str) -> float:
    """A counter's value."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
