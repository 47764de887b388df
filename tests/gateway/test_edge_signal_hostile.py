"""Hostile security events and logout tokens through the real edge: none counts, and whom they name streams on."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from io import BytesIO
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from prometheus_client import REGISTRY

from bench.identities.callers import HOST
from gateway.config import Config, Logout, Signals, Transmitter
from gateway.operations import GatewayOperations
from tests.gateway.edge_rig import until
from tests.gateway.front import FORM, front
from tests.gateway.issuer_rig import public
from tests.gateway.signals_rig import HERE, TRANSMITTER, event_claims, logout_claims
from tests.gateway.test_edge_signals import Edge, whose
from tests.gateway.test_signal_hostile import _KINDS, Kind, _replayed
from tests.gateway.token_rig import EC, signed

HOSTILE = 10_000 if os.environ.get("PORTCULLIS_PROVE") == "1" else 200
KINDS = tuple(kind for kind in _KINDS if kind is not _replayed)  # replayed here is what was accepted here
AT_ONCE = 16
SET = "application/secevent+jwt"


def _signals(config: Config) -> Signals:
    (issuer,) = config.identity.issuers
    soc = Transmitter(issuer=TRANSMITTER, audience=HERE, jwks_url=issuer.jwks_url, delivery="unmanaged")
    return Signals(transmitters=(soc,), logout=(Logout(issuer=issuer.issuer, client_id="portcullis"),))


class Sender:
    """Who can sign for the transmitter and for the issuer, and knows what both must say."""

    def __init__(self, edge: Edge, rng: random.Random) -> None:
        self._edge = edge
        self._rng = rng

    def event(self, who: str) -> dict[str, Any]:
        """The claims of a good event."""
        return event_claims(sub_id=self._edge.user(who), iat=int(time.time()))

    def logout(self, who: str) -> dict[str, Any]:
        """The claims of a good logout token."""
        now = int(time.time())
        return logout_claims(iss=self._edge.front.issuer.name, sub=who, sid=None, iat=now, exp=now + 120)

    def hostile(self, number: int) -> tuple[str, bytes]:
        """One that is not good, and where it is sent."""
        kind: Kind = KINDS[number // 2 % len(KINDS)]
        where, claims = ("events", self.event("alice")) if number % 2 else ("logout", self.logout("alice"))
        late: dict[str, Any] = {"iat": self._rng.choice([int(time.time()) + 3600, -1, "now", None, 10**30])}
        odd = late | ({"exp": int(time.time()) + 60} if number % 2 else {"nonce": "n", "exp": int(time.time()) - 60})
        token = kind(self._rng, claims, f"{'secevent' if number % 2 else 'logout'}+jwt", odd)
        return where, token if isinstance(token, bytes) else token.encode("latin-1")

    async def send(self, where: str, token: bytes) -> int:
        """The status of the answer."""
        url = f"https://localhost:{self._edge.front.port}/.well-known/portcullis/{where}"
        form = where == "logout"
        body = b"logout_token=" + quote_from_bytes(token).encode() if form else token
        headers = {"host": HOST, "content-type": FORM if form else SET}
        async with self._edge.front.session.post(url, data=BytesIO(body), headers=headers) as answer:
            await answer.read()
            return answer.status


def _carried_out() -> float:
    return sum(
        sample.value
        for family in REGISTRY.collect()
        if family.name == "portcullis_gateway_signals_carried_out"
        for sample in family.samples
        if sample.name.endswith("_total")
    )


@pytest.mark.prove
async def test_whatever_hostile_senders_send_to_the_edge_nobody_is_cut_and_nothing_breaks() -> None:
    rng = random.Random(6)
    async with front(signals=_signals) as running:
        edge = Edge(running, GatewayOperations(running.gateway))
        sender, turns, answers = Sender(edge, rng), asyncio.Semaphore(AT_ONCE), Counter[int]()
        running.published.append(public("e", EC))
        seen = [
            ("events", signed(sender.event("carol"), typ="secevent+jwt").encode()),
            ("logout", signed(sender.logout("carol"), typ="logout+jwt").encode()),
        ]
        for where, token in seen:
            await _accepted(sender, where, token)

        async def one(number: int) -> None:
            where, token = sender.hostile(number)
            async with turns:
                answers[await sender.send(where, token)] += 1

        async with edge.stream(**whose("alice")) as alice:
            before = _carried_out()
            async with asyncio.TaskGroup() as tasks:
                for number in range(HOSTILE):
                    tasks.create_task(one(number))
            assert [await sender.send(*again) for again in seen] == [202, 400]  # acknowledged again, and not delivered
            assert _carried_out() == before
            assert set(answers) <= {400, 401}, answers
            assert answers.total() == HOSTILE
            assert not alice.done()
            assert edge.session("person:alice") is not None
            # What they were made of is good: signed as it should be, it ends her stream.
            assert await sender.send("events", signed(sender.event("alice"), typ="secevent+jwt").encode()) == 202
            await asyncio.wait_for(alice, 10)


async def _accepted(sender: Sender, where: str, token: bytes) -> None:
    """Once its key is known there."""

    async def good() -> bool:
        return await sender.send(where, token) in (200, 202)

    await until(good, f"a good token is accepted at {where}")
