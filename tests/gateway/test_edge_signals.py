"""Each signal at the real edge: whom it touches is cut within 50 ms of its arrival, and who stands beside lives on."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
import pytest_asyncio

from bench.identities.callers import AUDIENCE, HOST
from gateway.agents import Order
from gateway.config import Config, Logout, Signals, Transmitter
from gateway.operations import GatewayOperations
from gateway.sessions import Session
from telemetry import Event, EventBatch, Kind
from tests.gateway.front import LEEWAY, RULES, WORKLOADS, Front, front
from tests.gateway.workloads import DOMAIN, SVID, Ca, Leaf

SOC = "https://soc.example"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
WITHIN = 50.0  # milliseconds
Signal = Callable[["Edge", str], Awaitable[Any]]


@dataclass
class Edge:
    """The edge, with whom a signal shall touch and somebody beside."""

    front: Front
    operations: GatewayOperations

    def stream(
        self, /, certificate: Leaf | None = None, **claims: Any
    ) -> AbstractAsyncContextManager[asyncio.Task[None]]:
        """A live stream; the task ends when the stream does."""
        return self.front.stream(self.front.issuer.token(**claims) if claims else "", certificate)

    def session(self, subject: str) -> Session | None:
        return next(iter(self.front.gateway.sessions.find("principal", subject)), None)

    async def push(self, event: str, subject: dict[str, Any], **claims: Any) -> int:
        """A security event from the SOC."""
        now = int(time.time())
        told = {CAEP + event: {"event_timestamp": now} | claims}
        said = {"iss": SOC, "aud": AUDIENCE, "iat": now, "jti": secrets.token_hex(8), "sub_id": subject, "events": told}
        token = jwt.encode(said, self.front.issuer.key, "ES256", {"typ": "secevent+jwt", "kid": "k1"})
        return await self._post("events", token, {"content-type": "application/secevent+jwt"})

    async def log_out(self, **about: str) -> int:
        """A back-channel logout from the issuer."""
        now, issuer = int(time.time()), self.front.issuer
        events: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        said = {"iss": issuer.name, "aud": "portcullis", "iat": now, "exp": now + 60, "jti": secrets.token_hex(8)}
        token = jwt.encode(said | {"events": events} | about, issuer.key, "ES256", {"typ": "logout+jwt", "kid": "k1"})
        return await self._post(
            "logout", f"logout_token={token}", {"content-type": "application/x-www-form-urlencoded"}
        )

    async def _post(self, where: str, body: str, headers: dict[str, str]) -> int:
        url = f"https://localhost:{self.front.port}/.well-known/portcullis/{where}"
        async with self.front.session.post(url, data=body.encode(), headers={"host": HOST, **headers}) as answer:
            await answer.read()
            return answer.status

    def user(self, name: str) -> dict[str, str]:
        return {"format": "iss_sub", "iss": self.front.issuer.name, "sub": name}


def _listening(config: Config) -> Signals:
    (issuer,) = config.identity.issuers
    soc = Transmitter(issuer=SOC, audience=AUDIENCE, jwks_url=issuer.jwks_url, delivery="unmanaged")
    return Signals(transmitters=(soc,), logout=(Logout(issuer=issuer.issuer, client_id="portcullis"),))


@asynccontextmanager
async def listening() -> AsyncIterator[Edge]:
    async with front(signals=_listening) as edge:
        yield Edge(edge, GatewayOperations(edge.gateway))


async def _revoked(edge: Edge, who: str) -> None:
    assert await edge.push("session-revoked", edge.user(who)) == 202


async def _credential_revoked(edge: Edge, who: str) -> None:
    changed = {"credential_type": "fido2-roaming", "change_type": "revoke"}
    assert await edge.push("credential-change", edge.user(who), **changed) == 202


async def _risk(edge: Edge, who: str) -> None:
    said = {"principal": "USER", "current_level": "HIGH"}
    assert await edge.push("risk-level-change", edge.user(who), **said) == 202


async def _assurance(edge: Edge, who: str) -> None:
    said = {"namespace": "NIST-AAL", "current_level": "nist-aal1", "change_direction": "decrease"}
    assert await edge.push("assurance-level-change", edge.user(who), **said) == 202


async def _device(edge: Edge, who: str) -> None:
    said = {"previous_status": "compliant", "current_status": "not-compliant"}
    assert await edge.push("device-compliance-change", {"format": "opaque", "id": f"laptop-{who}"}, **said) == 202


async def _logged_out(edge: Edge, who: str) -> None:
    assert await edge.log_out(sub=who) == 200


async def _session_logged_out(edge: Edge, who: str) -> None:
    assert await edge.log_out(sid=f"login-of-{who}") == 200


async def _posture(edge: Edge, who: str) -> None:
    event = Event(
        time=time.time(), kind=Kind.ENDPOINT, source="test", peer=f"laptop-{who}", action="posture", resource="stolen"
    )
    edge.front.gateway._publish_events(EventBatch.of([event]))


async def _blocked(edge: Edge, who: str) -> None:
    answer = await edge.operations.add_block("principal", f"person:{who}", 60, "seen", "jo", override=True)
    assert answer["outcome"] == "accepted", answer


async def _cut(edge: Edge, who: str) -> None:
    assert (await edge.operations.cut("device", f"laptop-{who}", "asked", "jo", dry_run=False))["sessions"] == 1


async def _policy(edge: Edge, who: str) -> None:
    rules = edge.front.folder / "rules.rego"
    rules.write_text(
        RULES.replace("input.principal.id\n", f'input.principal.id\n\tinput.principal.id != "person:{who}"\n', 1)
    )
    answer = await edge.operations.reload_policy()
    assert answer["sessions_ended"] == 1, answer


async def _data(edge: Edge, who: str) -> None:
    changed = await edge.operations.put_policy_data(("risk", f"person:{who}"), "high", "seen", "jo", dry_run=False)
    assert changed["sessions_ended"] == 1


SIGNALS: dict[str, tuple[Signal, str]] = {
    "session-revoked": (_revoked, "session_revoked"),
    "credential-change": (_credential_revoked, "credential_change"),
    "risk-level-change": (_risk, "at_risk"),
    "assurance-level-change": (_assurance, "at_risk"),
    "device-compliance-change": (_device, "device"),
    "logout of a person": (_logged_out, "logout"),
    "logout of a login": (_session_logged_out, "logout"),
    "posture in telemetry": (_posture, "device"),
    "block": (_blocked, "blocked"),
    "an analyst's cut by device": (_cut, "asked"),
    "policy revision": (_policy, "no_rule"),
    "policy data": (_data, "at_risk"),
}


def whose(name: str) -> dict[str, Any]:
    return {"sub": f"person:{name}", "device_id": f"laptop-{name}", "sid": f"login-of-{name}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Edge]:
    """One edge for all signals: each has its own to touch."""
    async with listening() as edge:
        yield edge


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", SIGNALS)
async def test_a_signal_ends_whom_it_touches_and_nobody_else(shared: Edge, name: str) -> None:
    (signal, reason), who, beside = SIGNALS[name], f"u{secrets.token_hex(4)}", f"v{secrets.token_hex(4)}"
    shared.front.gateway._publish_events(_compliant(f"laptop-{who}", f"laptop-{beside}"))
    async with shared.stream(**whose(who)) as touched, shared.stream(**whose(beside)) as bystander:
        await signal(shared, who)
        await asyncio.wait_for(touched, 10)
        _touched_alone(shared, f"person:{who}", reason)
        assert not bystander.done()
        assert shared.session(f"person:{beside}") is not None


async def test_what_an_issuer_or_an_authority_or_the_registry_takes_back_ends() -> None:
    async with listening() as edge:
        gateway = edge.front.gateway
        await edge.front.register("agent:bot")
        delegated: dict[str, Any] = {"sub": "person:carol", "act": {"sub": "agent:bot"}}
        async with edge.stream(WORKLOADS.leaf(SVID)) as batch, edge.stream(**delegated) as bot:
            async with edge.stream(sub="person:dora", exp=time.time() + 1 - LEEWAY) as dora:
                await asyncio.wait_for(dora, 10)
                _touched_alone(edge, "person:dora", "token_expired")
            suspend = Order(verb="suspend", agent="agent:bot", by="test", reason="odd")
            await gateway.registrar.order(suspend)
            await asyncio.wait_for(bot, 10)
            _touched_alone(edge, "person:carol", "agent_refused")
            async with edge.stream(**whose("alice")) as alice:
                edge.front.published.clear()
                await gateway.identification.fetch(edge.front.issuer.name)
                await asyncio.wait_for(alice, 10)
                _touched_alone(edge, "person:alice", "key_removed")
            assert not batch.done()
            _replaced(edge, "workloads.pem", Ca(DOMAIN).pem)
            await asyncio.wait_for(batch, 10)
            _touched_alone(edge, f"workload:{SVID}", "certificate_refused")


async def test_who_was_cut_comes_back_and_is_told_why_and_by_which_cut() -> None:
    async with listening() as edge:
        token = edge.front.issuer.token(**whose("alice"))
        shown = {"host": HOST, "authorization": f"Bearer {token}"}
        url = f"https://localhost:{edge.front.port}/accounts/1001"
        async with edge.front.stream(token) as live:
            await _revoked(edge, "alice")
            await asyncio.wait_for(live, 10)
        async with edge.front.session.get(url, headers=shown) as answer:
            told = await answer.json()
        (cut,) = edge.operations.cuts(1)
        assert (answer.status, told["cut"]) == (401, cut["id"])
        assert told["reasons"] == ["invalid_token", "session_revoked"]
        later = edge.front.issuer.token(**whose("alice"), iat=int(time.time()) + 2)
        assert (await edge.front.get(shown={"authorization": f"Bearer {later}"}))[0] == 200


def _replaced(edge: Edge, name: str, content: bytes) -> None:
    """A file of the configuration, in the place of the one before as a whole."""
    new = edge.front.folder / f"{name}.next"
    new.write_bytes(content)
    new.replace(edge.front.folder / name)


def _compliant(*devices: str) -> EventBatch:
    return EventBatch.of(
        [
            Event(time=time.time(), kind=Kind.ENDPOINT, source="t", peer=device, action="posture", resource="compliant")
            for device in devices
        ]
    )


def _touched_alone(edge: Edge, subject: str, reason: str) -> None:
    record = edge.operations.cuts(1)[0]
    assert (record["subject"], record["reason"]) == (subject, reason)
    assert record["milliseconds"] < WITHIN
    assert edge.session(subject) is None
