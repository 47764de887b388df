"""Answers that the edge gives again: never, whatever was signalled before, another than the judge would give."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.gateway.cached_rig import World

PEOPLE = ("person:alice", "person:bob", "person:carol")
BOT = "agent:bot"
SOURCES = ("127.0.0.1", "127.0.0.2")
TARGETS = (
    *("/accounts/1001", "/accounts/1001?x=1", "/accounts/1001?\xe9", "/accounts/1001?y#z", "/accounts/7"),
    *("/accounts/query?ok", "/accounts/query?no", "/accounts/host", "/accounts/device", "/accounts/hours"),
    *("/accounts/write", "/accounts/none"),
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def world(runner: asyncio.Runner) -> Iterator[World]:
    made: list[World] = []

    async def start() -> None:
        made.append(World(seconds=5.0))
        await made[0].start()

    runner.run(start())
    yield made[0]
    runner.run(made[0].stop())


def asked(world: World) -> int:
    """How many questions the judge was asked."""
    return len(world.seen)


def test_the_same_question_is_asked_once_in_each_worker(runner: asyncio.Runner, world: World) -> None:
    token = world.token("person:once")

    async def ask(number: int) -> int:
        status, _, who = await world.send(number, "127.0.0.1", "GET", "/accounts/1001", "bank", token)
        assert who == "person:once"
        return status

    before = asked(world)
    assert [runner.run(ask(number)) for number in range(20)] == [200] * 20
    assert 1 <= asked(world) - before <= world.config.edge.concurrency


def test_a_signal_is_seen_by_the_next_request_in_every_worker(runner: asyncio.Runner, world: World) -> None:
    token = world.token("person:signalled")

    async def ask(number: int) -> int:
        return (await world.send(number, "127.0.0.1", "GET", "/accounts/1001", "bank", token))[0]

    for _ in range(5):
        assert {runner.run(ask(number)) for number in range(8)} == {200}
        world.risk("person:signalled", "high")
        assert {runner.run(ask(number)) for number in range(8)} == {403}
        world.risk("person:signalled", "low")


def test_what_was_answered_ends_with_the_gateway_that_answered(runner: asyncio.Runner, world: World) -> None:
    """Another instance marks the same file: nothing of the earlier one is given again."""
    token = world.token("person:other")

    async def ask() -> int:
        return (await world.send(1, "127.0.0.1", "GET", "/accounts/1001", "bank", token))[0]

    assert runner.run(ask()) == 200
    before = asked(world)
    assert runner.run(ask()) == 200
    assert asked(world) == before
    world.epochs._words[1] += 2
    assert runner.run(ask()) == 200
    assert asked(world) == before + 1
    world.epochs._words[1] -= 2


@pytest.mark.parametrize(
    ("first", "second", "told_apart"),
    [
        ("/accounts/1001?a=1", "/accounts/1001?a=2", False),
        ("/accounts/query?ok1", "/accounts/query?ok2", True),
        ("/accounts/host?a", "/accounts/host?b", False),
    ],
)
def test_only_what_the_decision_read_tells_questions_apart(
    runner: asyncio.Runner, world: World, first: str, second: str, told_apart: bool
) -> None:
    token = world.token("person:reader")

    async def ask(target: str) -> int:
        return (await world.send(2, "127.0.0.1", "GET", target, "bank", token))[0]

    assert runner.run(ask(first)) == 200
    before = asked(world)
    assert runner.run(ask(second)) == 200
    assert (asked(world) > before) == told_apart


@pytest.mark.parametrize("target", ["/accounts/hours"])
def test_what_read_the_clock_is_asked_each_time(runner: asyncio.Runner, world: World, target: str) -> None:
    token = world.token("person:clock")

    async def ask() -> int:
        return (await world.send(3, "127.0.0.1", "GET", target, "bank", token))[0]

    before = asked(world)
    assert [runner.run(ask()) for _ in range(3)] == [200] * 3
    assert asked(world) == before + 3


_QUESTIONS = st.fixed_dictionaries(
    {
        "person": st.sampled_from(PEOPLE),
        "acting": st.booleans(),
        "lives": st.sampled_from([3000.0, 30.0, 0.4]),
        "path": st.sampled_from((*TARGETS[:2] * 3, *TARGETS)),
        "method": st.sampled_from(["GET", "GET", "GET", "POST"]),
        "host": st.sampled_from(["bank", "bank", "other", "a..b"]),
        "source": st.sampled_from(SOURCES),
    }
)
_SIGNALS = st.one_of(
    st.tuples(st.just("risk"), st.sampled_from((*PEOPLE, BOT)), st.sampled_from(["high", "low"])),
    st.tuples(st.just("close_service"), st.booleans()),
    st.tuples(st.just("closes"), st.sampled_from([-100.0, 100.0])),
    st.tuples(st.just("block"), st.just("principal"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("block"), st.just("actor"), st.just(BOT)),
    st.tuples(st.just("block"), st.just("address"), st.sampled_from(SOURCES)),
    st.tuples(st.just("block"), st.just("range"), st.just("127.0.0.2/32")),
    st.tuples(st.just("revoke"), st.just("principal"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("revoke"), st.just("actor"), st.just(BOT)),
    st.tuples(st.just("agent"), st.just(BOT), st.sampled_from(["active", "suspended"])),
    st.tuples(st.just("posture"), st.sampled_from(PEOPLE), st.booleans()),
    st.tuples(st.just("keys"), st.booleans()),
    st.tuples(st.just("revision"), st.booleans()),
    st.tuples(st.just("step"), st.sampled_from([-200.0, 40.0, 400.0, 4000.0])),
)


class Cached(RuleBasedStateMachine):
    """Requests of anybody over any connection, and signals of every kind, in any order. Each answer of the edge is the
    judge's.
    """

    runner: asyncio.Runner
    world: World
    example = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).example += 1
        self.names = {name: f"{name}-{self.example}" for name in (*PEOPLE, BOT)}  # each example has its own people
        self.tokens: dict[Any, str] = {}
        self.blocks: list[str] = []
        self.calm()

    def token(self, person: str, acting: bool, lives: float) -> str:
        key = (person, acting, lives)
        if key not in self.tokens:
            act = {"act": {"sub": self.names[BOT]}} if acting else {}
            now = self.world.now()
            claims: dict[str, Any] = {
                "iat": now,
                "exp": now + lives,
                "device_id": self.names[person],
                "sid": "login",
                **act,
            }
            self.tokens[key] = self.world.token(self.names[person], **claims)
        return self.tokens[key]

    @rule(asked=_QUESTIONS, connections=st.lists(st.integers(0, 5), min_size=3, max_size=8))
    def ask(self, asked: dict[str, Any], connections: list[int]) -> None:
        for connection in connections:
            self.once(connection=connection, **asked)

    def once(
        self, connection: int, person: str, acting: bool, lives: float, path: str, method: str, host: str, source: str
    ) -> None:
        token = self.token(person, acting, lives)
        before = self.runner.run(self.world.expected(source, method, path, host, token))
        sent = self.world.send(connection, source, method, path, host, token)
        status, decision, who = self.runner.run(sent)
        after = self.runner.run(self.world.expected(source, method, path, host, token))
        if before == after:  # else its time was over in between
            assert (status == 200) == after, (status, person, acting, lives, path, method, host, source)
        assert decision or status in (0, 400)  # refused by the edge itself
        assert status != 200 or who == self.names[person]

    @rule(signal=_SIGNALS)
    def signal(self, signal: tuple[Any, ...]) -> None:
        name, *values = signal
        answer = getattr(self.world, name)(*(self.names.get(value, value) for value in values))
        self.blocks += [answer] if name == "block" else []

    @rule()
    def calm(self) -> None:
        """Everybody may again, with new tokens."""
        self.tokens.clear()
        self.world.blocklist.lift(self.blocks)
        self.world.step(-self.world.ahead)
        self.world.keys(known=True)
        self.world.revision(strict=False)
        self.world.close_service(closed=False)
        self.world.closes(2.0**32)
        self.world.agent(self.names[BOT], "active")
        for name in self.names.values():
            self.world.risk(name, "low")

    @rule()
    def a_while(self) -> None:
        self.runner.run(asyncio.sleep(0.1))

    def teardown(self) -> None:
        self.calm()


def _machine(runner: asyncio.Runner, world: World, examples: int, steps: int) -> None:
    machine = type("Cached", (Cached,), {"runner": runner, "world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.prove
def test_no_answer_is_another_than_the_judges(runner: asyncio.Runner, world: World) -> None:
    before = runner.run(world.admin.stats("portcullis."))
    _machine(runner, world, *((200, 100) if os.environ.get("PORTCULLIS_PROVE") == "1" else (30, 30)))
    after = runner.run(world.admin.stats("portcullis."))
    given = {name: after[name] - before[name] for name in after}
    assert given["portcullis.known"] > given["portcullis.asked"] / 10, "hardly any answer was given again"
    assert given["portcullis.unavailable"] == 0
