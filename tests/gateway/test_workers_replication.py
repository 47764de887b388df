"""Whoever answers has applied all that counts: any order of changes, joins, deaths and slow readers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule

from gateway.workers import Complete, Following, LeftBehind, Live, Operation, Published, Publisher, framed
from gateway.workers.link import Link
from gateway.workers.operation import DataPut

NAMES = st.sampled_from("abc")
LARGE = 300_000  # bytes: more than a Unix socket holds


class Gateway:
    """One life of it: the state, and who is told."""

    def __init__(self, newest: Published, state: dict[str, str]) -> None:
        self.newest = newest
        self.publisher = Publisher(newest)
        self.state = state
        self.ends: list[socket.socket] = []
        self.is_over = False

    def change(self, name: str, value: str) -> None:
        self.publisher.publish(DataPut((name,), value))
        self.state[name] = value

    def told(self) -> Iterator[Operation]:
        """The state as it is now, however late it is taken."""
        return iter([DataPut((name,), value) for name, value in self.state.items()] + [Complete()])


@dataclass(eq=False)
class Judge:
    """A replica of a few names; reads its socket as the test says."""

    gateway: Gateway
    sock: socket.socket
    link: Link
    joining: asyncio.Task[None]
    state: dict[str, str] = field(default_factory=dict)
    live: bool = False
    ended: bool = False  # by the gateway; that is not at once: it may be asked once more
    gone: bool = False
    most: int = 1 << 20  # bytes that it reads at a time

    def __post_init__(self) -> None:
        self.following = Following(self.gateway.newest, self._receive, self._apply)

    def _receive(self) -> bytes | None:
        try:
            data = self.sock.recv(self.most)
        except BlockingIOError:
            return None
        if not data:
            raise EOFError
        return data

    def _apply(self, operation: Operation) -> None:
        if isinstance(operation, DataPut):
            self.state[operation.path[0]] = operation.value
        elif isinstance(operation, Complete):
            self.link.joined.set()
        elif isinstance(operation, Live):
            self.live = True

    def end(self) -> None:
        """A signal is on its way."""
        self.ended = True

    def left_behind(self) -> None:
        """It ends by itself, and never without a reason."""
        assert self.ended or self.sock.fileno() < 0 or self.gateway.is_over
        self.gone = True


class Replication(RuleBasedStateMachine):
    judges = Bundle("judges")
    answered = 0  # questions, in all runs

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = 1000.0
        self.file = Path(f"/dev/shm/portcullis-test-{id(self)}")
        self.gateway = Gateway(Published.begin(self.file, self.now), {})
        self.all: list[Judge] = []

    def teardown(self) -> None:
        for judge in self.all:
            judge.joining.cancel()
        self.turn()
        for judge in self.all:
            judge.sock.close()
        for end in self.gateway.ends:
            end.close()
        self.loop.close()
        self.file.unlink()

    @rule(target=judges)
    def join(self) -> Judge:
        return self._joined()

    def _joined(self) -> Judge:
        gateway, (ours, theirs) = self.gateway, socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        gateway.ends.append(ours)
        link = Link(ours, lambda: judge.end(), patience=0.0)
        told, number = gateway.told(), gateway.publisher.number
        gateway.publisher.add(link)
        joining = self.loop.create_task(self._join(link, told, number, gateway))
        judge = Judge(gateway, theirs, link, joining)
        self.all.append(judge)
        return judge

    async def _join(self, link: Link, told: Iterator[Operation], number: int, gateway: Gateway) -> None:
        with suppress(OSError):  # it died
            await link.join(told, number, lambda: gateway.publisher.number)

    @rule(name=NAMES, value=st.text(max_size=3))
    def change(self, name: str, value: str) -> None:
        self.gateway.change(name, value)

    @rule(name=NAMES, letter=st.sampled_from("xyz"))
    def large_change(self, name: str, letter: str) -> None:
        self.gateway.change(name, letter * LARGE)

    @rule(asked=st.booleans())
    def untellable(self, asked: bool) -> None:
        self.gateway.publisher.begin_anew("a change that cannot be told")
        self.gateway.state["a"] = "only the gateway knows"
        if asked:
            self.questions()

    @rule()
    def turn(self) -> None:
        """The gateway's loop goes on for a while."""
        self.loop.run_until_complete(asyncio.sleep(0))

    @rule(judge=judges, most=st.integers(1, 1 << 20))
    def read(self, judge: Judge, most: int) -> None:
        """Between questions."""
        judge.most = most
        if not judge.gone:
            try:
                judge.following.read()
            except LeftBehind:
                judge.left_behind()

    @rule(target=judges, values=st.lists(st.text(max_size=3), max_size=4))
    def join_through(self, values: list[str]) -> Judge:
        """One that is live at once, whatever changes meanwhile."""
        judge = self._joined()
        for step in range(12):
            self.turn()
            if values:
                self.gateway.change("c", values.pop())
            if step:
                self.read(judge, 1 << 20)
        return judge

    @rule(judge=consumes(judges))
    def die(self, judge: Judge) -> None:
        judge.gone = True
        judge.sock.close()

    @rule(asked=st.booleans())
    def restart(self, asked: bool) -> None:
        """The gateway is killed, and there is another one, with other memory of what stands."""
        self.gateway.is_over = True
        for judge in self.all:
            judge.joining.cancel()
        self.turn()
        for end in self.gateway.ends:
            end.close()
        self.now += 1
        self.gateway = Gateway(Published.begin(self.file, self.now), {"b": "as the new one has it"})
        if asked:
            self.questions()

    @rule()
    def questions(self) -> None:
        for judge in self.all:
            if judge.live and not judge.gone:
                self.question(judge)

    def question(self, judge: Judge) -> None:
        try:
            judge.following.catch_up()
        except LeftBehind:
            judge.left_behind()
        else:
            assert judge.gateway is self.gateway
            assert judge.state == self.gateway.state
            Replication.answered += 1


@pytest.mark.prove
def test_who_answers_has_applied_all_that_counts() -> None:
    Replication.TestCase.settings = settings(
        max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Replication.TestCase("runTest").runTest()
    assert Replication.answered > 0


class Watched:
    """Where the newest number is shown, and who looks when it is raised."""

    number = 7

    def __init__(self) -> None:
        self.raised: list[int] = []

    def raise_to(self, number: int) -> None:
        self.number = number
        self.raised.append(number)


class Taker:
    def __init__(self, newest: Watched, takes: bool = True) -> None:
        self.newest, self.takes = newest, takes
        self.seen: list[tuple[bytes, int]] = []
        self.dropped: list[str] = []

    def take(self, frame: bytes) -> bool:
        self.seen.append((frame, self.newest.number))
        return self.takes

    def drop(self, why: str) -> None:
        self.dropped.append(why)


def test_an_operation_is_with_everybody_before_it_counts() -> None:
    newest = Watched()
    publisher, takers = Publisher(newest), [Taker(newest), Taker(newest)]
    for taker in takers:
        publisher.add(taker)
    publisher.publish(Live())
    assert [taker.seen for taker in takers] == [[(framed(8, Live()), 7)]] * 2
    assert newest.raised == [8]


def test_who_does_not_take_an_operation_is_told_no_other() -> None:
    newest = Watched()
    publisher, taker = Publisher(newest), Taker(newest, takes=False)
    publisher.add(taker)
    publisher.publish(Live())
    publisher.publish(Live())
    assert len(taker.seen) == 1
    assert newest.raised == [8, 9]


def test_a_change_that_cannot_be_told_leaves_nobody_answering() -> None:
    newest = Watched()
    publisher, taker = Publisher(newest), Taker(newest)
    publisher.add(taker)
    publisher.publish(DataPut(("a",), "\ud800"))  # no UTF-8
    assert taker.dropped == ["anew"]
    assert newest.number == 8


def test_what_an_earlier_gateway_published_is_never_the_newest_again(tmp_path: Path) -> None:
    file = tmp_path / "number"
    first = Published.begin(file, now=1000.0)
    judge = Published.look(file)
    first.raise_to(first.number + 3)
    left = judge.number
    second = Published.begin(file, now=500.0)  # the clock went back
    assert judge.number == second.number > left
    for each in (first, judge, second):
        each.close()


def test_a_judge_cannot_write_the_number(tmp_path: Path) -> None:
    Published.begin(tmp_path / "number", now=1.0).close()
    judge = Published.look(tmp_path / "number")
    with pytest.raises(TypeError):
        judge.raise_to(5)
    judge.close()
