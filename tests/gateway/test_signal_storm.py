"""A storm of signals: put together by whom they touch, none lost, and a cut ordered meanwhile does not wait for it."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from gateway.agents import State
from gateway.devices import Posture
from gateway.rejudging import Rejudging
from gateway.sessions import Session
from policy import AccessRequest, Decision
from tests.gateway.test_rejudging import House, bot, replace_expiry

PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"
SIGNALS = 10_000  # a second
SECONDS = 5 if PROVE else 1
PEOPLE, AGENTS, STREAMS = (2_000, 50, 10_000) if PROVE else (400, 20, 1_200)
EVERYBODY = 0.002  # of all signals touch every session
WITHIN = 0.05  # seconds from the order of a cut to the stream's end
CUTS = 20
TURN = 0.001  # seconds between two handfuls of signals
SLOWER = 1.0 if PROVE else 4.0  # a busy machine may be so much slower where nothing is proven


class Storm(House):
    """The house with a running loop, real time between signals, and a count of who was judged how often."""

    def __init__(self) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self.rejudging = Rejudging(
            self.sessions,
            self.pdp,
            self.standing,
            self.renew,
            loop.call_soon,
            clock=lambda: self.now,
            monotonic=time.monotonic,
        )
        self.decide = self.pdp.decide  # uncounted
        self.chance = random.Random(6)
        self.judged: Counter[str] = Counter()
        self.touched = 0  # sessions, by all signals
        self.innocent: list[str] = []  # who was ended though policy, asked then, would have let it in
        again, cut = self.rejudging.again, self.sessions.cut

        def counted(request: AccessRequest) -> Decision:
            self.judged[request.principal.token] += 1
            return self.decide(request)

        def touching(sessions: Iterable[Session], signal: str, arrived: float | None = None) -> int:
            found = tuple(sessions)
            self.touched += len(found)
            return again(found, signal, arrived)

        def watched(sessions: Iterable[Session], reason: str, signal: str, arrived: float | None = None) -> int:
            found = tuple(sessions)
            self.innocent += [one.id for one in found if signal != "analyst" and self.lets_in(one)]
            return cut(found, reason, signal, arrived)

        self.sessions.cut = watched  # type: ignore[method-assign]
        self.pdp.decide = counted  # type: ignore[method-assign]
        self.rejudging.again = touching  # type: ignore[method-assign]

    def lets_in(self, session: Session) -> bool:
        """Policy, asked now."""
        request = self.standing.request(session, self.now)
        return not isinstance(request, str) and self.decide(request).allowed

    def fill(self) -> None:
        """Streams of people, some by an agent of theirs, each on a device of the person's."""
        for person in range(PEOPLE):
            self.devices.learn(f"laptop-{person}", Posture(True, self.now))
        for number in range(STREAMS):
            person = number % PEOPLE
            actors = (f"agent:{number % AGENTS}",) if number % 3 == 0 else ()
            self.open(
                f"s{number}",
                f"person:{person}",
                actors,
                path="/device/1" if number % 2 else "/streams/1",
                attributes={"device_id": f"laptop-{person}"},
                token=f"s{number}",
            )
        self.judged.clear()

    def signal(self) -> None:
        """One of any kind: most touch few, some an agent's sessions, and now and then all of them."""
        drawn, person = self.chance.random(), self.chance.randrange(PEOPLE)
        if drawn < EVERYBODY:
            closed = self.chance.random() < 0.5
            self.pdp.put_data(("closed", "elsewhere"), closed)
            self.rejudging.data(("data", "closed"))
        elif drawn < 0.03:
            name = f"agent:{self.chance.randrange(AGENTS)}"
            state: State = "suspended" if self.chance.random() < 0.001 else "active"
            agent = replace_expiry(bot(state, id=name), self.now + 9999)
            self.agents.put(agent)
            self.rejudging.agent(agent)
        elif drawn < 0.5:
            self.raise_risk(f"person:{person}", level="high" if self.chance.random() < 0.02 else "low")
            self.rejudging.risk(f"person:{person}")
        else:
            compliant = self.chance.random() > 0.02
            if self.devices.learn(f"laptop-{person}", Posture(compliant, self.now)):
                self.rejudging.device(f"laptop-{person}")

    async def blow(self) -> float:
        """So many signals a second for so long, as many as are due at each turn. Seconds that it took."""
        started, sent = time.monotonic(), 0
        while sent < SIGNALS * SECONDS:
            due = min(int((time.monotonic() - started) * SIGNALS), SIGNALS * SECONDS)
            for _ in range(sent, due):
                self.signal()
            sent = due
            await asyncio.sleep(TURN)
        return time.monotonic() - started

    async def cut(self, number: int, when: float) -> float:
        """An analyst's cut of one stream, ordered at a time of the loop's. Seconds until the stream was ended."""
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        def order() -> None:
            self.sessions.cut(self.sessions.find("session", f"s{number}"), "asked", "analyst")
            done.set_result(loop.time() - when)

        loop.call_at(when, order)
        return float(await done)


@pytest.fixture
def gateways_collector() -> Iterator[None]:
    """The garbage collector as `portcullis run gateway` sets it."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.prove
@pytest.mark.usefixtures("gateways_collector")
async def test_a_storm_is_put_together_by_whom_it_touches_and_delays_no_cut() -> None:
    storm = Storm()
    storm.fill()
    assert len(storm.sessions) == STREAMS
    loop = asyncio.get_running_loop()
    times = [loop.time() + SECONDS * (number + 0.5) / CUTS for number in range(CUTS)]
    blowing = asyncio.create_task(storm.blow())
    cuts = await asyncio.gather(*(storm.cut(number, when) for number, when in enumerate(times)))
    assert await blowing < SECONDS + 0.5 * SLOWER  # it keeps up
    await asyncio.wait_for(storm.rejudging.settled(), 1 * SLOWER)
    assert max(cuts) < WITHIN * SLOWER
    assert storm.judged.total() <= storm.touched
    _exactly_those_live_whom_policy_would_let_in(storm)


async def test_what_many_signals_of_one_turn_touch_is_judged_twice_at_most() -> None:
    """Once at once, as far as the turn has time for it, and once when all of them have come."""
    storm = Storm()
    storm.fill()
    for _ in range(500):
        storm.rejudging.everyone()
    storm.raise_risk("person:7")
    storm.rejudging.risk("person:7")
    await asyncio.wait_for(storm.rejudging.settled(), 10)
    assert storm.touched > 500 * STREAMS
    assert storm.judged.keys() == {f"s{number}" for number in range(STREAMS)}
    assert max(storm.judged.values()) <= 2
    assert all(one.request.principal.actors for one in storm.sessions.find("principal", "person:7"))
    _exactly_those_live_whom_policy_would_let_in(storm)


async def test_who_waits_for_those_touched_now_does_not_wait_for_a_storm_to_end() -> None:
    storm = Storm()
    storm.fill()

    async def forever() -> None:
        while True:
            storm.rejudging.everyone()
            await asyncio.sleep(0)

    blowing = asyncio.create_task(forever())
    storm.raise_risk("person:7")
    storm.rejudging.risk("person:7")
    assert await asyncio.wait_for(storm.rejudging.settled(), 10) > 0
    blowing.cancel()


def _exactly_those_live_whom_policy_would_let_in(storm: Storm) -> None:
    assert all(map(storm.lets_in, storm.sessions))
    assert storm.innocent == []
    assert storm.ended
    assert len(storm.ended) + len(storm.sessions) == STREAMS
