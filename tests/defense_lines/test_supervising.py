"""Ledger, guard, supervisor and a line with faults, in any order of events: the line ends up with what stands."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from defense_lines import (
    Capabilities,
    Digest,
    Guard,
    GuardLimits,
    Note,
    Order,
    Orders,
    Pace,
    Permit,
    Receipts,
    Whom,
)
from defense_lines.ledger.orders import Place, StandingOrders
from defense_lines.steps import List, Push, Step
from defense_lines.supervisor import Supervisor
from policy import BlockPolicy, Cause, Target, TargetKind

PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"
EXAMPLES, STEPS = (2000, 100) if PROVE else (60, 60)
PACE = Pace(deadline=1, listing=1, shortest=0.1, longest=0.5, reconcile=3, batch=4)
KINDS: tuple[TargetKind, ...] = ("address", "principal")
NAMED = st.sampled_from(((), (), ("line",), ("other",)))
GRACE = 1.01  # seconds before and after its end in which nobody cares whether a block is enforced
FAULTS = ("lost", "refused", "failed", "half", "nothing", "lied")


class History:
    """The ledger as the supervisor sees it, over what really folds; `again` is what a restart makes of it."""

    def __init__(self) -> None:
        self.records: list[tuple[float, BlockPolicy | str]] = []
        self.cursor = 0
        self.again()

    def again(self) -> None:
        self.standing_orders = StandingOrders()
        for seq, (then, record) in enumerate(self.records, 1):
            self._fold(seq, record, then)

    def append(self, record: BlockPolicy | str, now: float) -> None:
        self.records.append((now, record))
        self._fold(len(self.records), record, now)

    def _fold(self, seq: int, record: BlockPolicy | str, now: float) -> None:
        if isinstance(record, BlockPolicy):
            self.standing_orders.enforce(seq, record, now)
        else:
            self.standing_orders.lift(seq, record, now)

    @property
    def last_order(self) -> int:
        return self.standing_orders.last

    def orders(self, after: int, whom: Whom, now: float, limit: int) -> Orders:
        told = self.standing_orders.since(after, whom, now, limit)
        return Orders(after=after, upto=told.upto, orders=told.orders, head="h", time=now)

    def repair(self, orders: tuple[Order, ...], now: float) -> Orders:
        return Orders(after=None, upto=self.last_order, orders=orders, head="h", time=now)

    def digest(self, upto: int, whom: Whom, time: float) -> Digest:
        return self.standing_orders.digest(upto, whom, time)

    def held(self, upto: int, whom: Whom, time: float) -> set[str]:
        return self.standing_orders.held(upto, whom, time)

    def behind(self, after: int, whom: Whom, now: float) -> int:
        return self.standing_orders.behind(after, whom, now)

    def standing(self, block_id: str, now: float) -> BlockPolicy | None:
        return self.standing_orders.block(block_id, now)

    def place(self, block_id: str) -> Place | None:
        return self.standing_orders.place(block_id)


class Line:
    """A model of a line: ends blocks by itself where it can, and does what its fault says with the next batch."""

    def __init__(self, capabilities: Capabilities, journal: bool) -> None:
        self.capabilities = capabilities
        self.journal = journal
        self.cursor = 0
        self.blocks: dict[str, BlockPolicy] = {}
        self.foreign: set[str] = set()

    def end(self, now: float) -> None:
        if self.capabilities.ends:
            self.blocks = {name: block for name, block in self.blocks.items() if block.expires > now}

    def carry_out(self, orders: Orders, fault: str, now: float) -> Receipts | None:
        """None: it does not answer, though it may have done it."""
        if fault == "nothing":
            return None
        notes = [note for number, order in enumerate(orders.orders) if (note := self._do(order, fault, number))]
        if self.journal and orders.after == self.cursor:
            self.cursor = orders.upto
        return None if fault == "lost" else Receipts(time=now, ms=0.1, head=orders.head, notes=tuple(notes))

    def _do(self, order: Order, fault: str, number: int) -> Note | None:
        if fault == "failed" or (fault == "half" and number % 2):
            return Note(order.id, "failed", "not now")
        if fault == "refused" and order.block:
            return Note(order.id, "refused", "not mine")
        if fault == "lied":
            return None
        if order.block:
            self.blocks[order.id] = order.block
        else:
            self.blocks.pop(order.id, None)
        return None


class Machine(RuleBasedStateMachine):
    """Times are plain numbers that the machine moves."""

    asked: tuple[List, bool] | None  # what it enforces, and whether that is what it should, as it is asked

    @initialize(ends=st.booleans(), lists=st.just(True), journal=st.booleans(), everything=st.booleans())
    def found(self, ends: bool, lists: bool, journal: bool, everything: bool) -> None:
        self.now, self.tick, self.made = 1_700_000_000.0, 50.0, 0
        self.history = History()
        self.guard = Guard(
            GuardLimits(never_block_addresses=("10.0.0.0/8",), max_ttl_seconds=100), None, lambda: self.tick
        )
        targets = frozenset(KINDS) if everything else frozenset(KINDS[:1])
        self.line = Line(Capabilities(targets=targets, ends=ends, lists=lists), journal)
        self.start()
        self.connect()

    def start(self) -> None:
        self.supervisor = Supervisor("line", self.history, self.history.cursor, PACE)
        self.connected, self.asked = False, None

    @rule()
    def connect(self) -> None:
        told = self.line.cursor if self.line.journal else None
        self.supervisor.connected(self.line.capabilities, told, self.now, self.tick)
        self.connected, self.asked = True, None

    @rule()
    def disconnect(self) -> None:
        self.supervisor.disconnected("gone", self.tick)
        self.connected, self.asked = False, None

    @rule(wanted=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 60), st.floats(5, 120), NAMED), max_size=6))
    def order(self, wanted: list[tuple[TargetKind, int, float, tuple[str, ...]]]) -> None:
        for kind, number, ttl, named in wanted:
            block = self.block(kind, number, ttl, named)
            if isinstance(self.guard.judge(block, self.now), Permit):
                self.history.append(block, self.now)

    def block(self, kind: TargetKind, number: int, ttl: float, named: tuple[str, ...]) -> BlockPolicy:
        self.made += 1
        value = f"{10 if number > 50 else 198}.51.100.{number}" if kind == "address" else f"person:{number}"
        return BlockPolicy(
            id=f"b-{self.made * 0x9E3779B97F4A7C15 % (1 << 64):016x}",
            target=Target.of(kind, value),
            created=self.now,
            expires=self.now + ttl,
            cause=Cause(reason="a test", by=f"detector:{self.made % 100}"),
            lines=named,
        )

    @rule(number=st.integers(0, 30))
    def lift(self, number: int) -> None:
        live = [block.id for block in self.history.standing_orders.live(self.now)]
        if live:
            self.history.append(live[number % len(live)], self.now)

    @rule(faults=st.lists(st.sampled_from(("", "", *FAULTS)), min_size=1, max_size=5))
    def work(self, faults: list[str]) -> None:
        """Some steps, as far as there is something to do."""
        step = self.supervisor.push if self.asked else self.supervisor.step
        for fault in faults:
            if told := step(self.now, self.tick):
                self.carry_out(told, fault)

    @rule()
    def ask(self) -> None:
        """What it enforces; it is told more before it answers."""
        if self.asked is None and self.supervisor.told_all and (step := self.supervisor.question(self.now, self.tick)):
            self.asked = step, self.in_step(step)

    @rule(fault=st.sampled_from(("", "", "lost")))
    def hear(self, fault: str) -> None:
        if self.asked:
            (step, in_step), self.asked = self.asked, None
            self.list(step, in_step, fault)

    @rule(faults=st.lists(st.sampled_from(("", "", *FAULTS)), min_size=1, max_size=5), seconds=st.floats(0.1, 4))
    def work_after_a_pause(self, faults: list[str], seconds: float) -> None:
        self.passes(seconds)
        self.work(faults)

    def carry_out(self, step: Step, fault: str) -> None:
        if not isinstance(step, Push):
            self.list(step, self.in_step(step), fault)
            return
        receipts = self.line.carry_out(step.orders, fault, self.now)
        if receipts is None:
            self.supervisor.overran(step.orders.orders, "no answer", self.tick)
        else:
            self.supervisor.answered(step.orders, receipts, 0.01, self.now, self.tick)
            self.history.cursor = self.supervisor.safe_cursor

    def in_step(self, step: List) -> bool:
        lives = [name for name, block in self.line.blocks.items() if block.expires > step.time]
        return lives == list(self.line.blocks) and not self.line.foreign and Digest.of(lives) == step.unless

    def list(self, step: List, in_step: bool, fault: str) -> None:
        if fault in ("nothing", "lost"):
            self.supervisor.unavailable("no answer", self.tick)
            return
        if in_step:
            self.supervisor.listed(step, None, set(), self.now, self.tick)
            self.history.cursor = self.supervisor.safe_cursor
            return
        ids = [*self.line.blocks, *self.line.foreign]
        found = self.supervisor.compare(step, ids, self.now)
        self.supervisor.listed(step, found, found.over - self.line.foreign, self.now, self.tick)
        self.history.cursor = self.supervisor.safe_cursor

    @rule(seconds=st.floats(0.01, 20))
    def passes(self, seconds: float) -> None:
        self.now, self.tick = self.now + seconds, self.tick + seconds
        self.line.end(self.now)

    @rule(number=st.integers(0, 5))
    def flush(self, number: int) -> None:
        """Somebody takes blocks away, or puts one there that is nobody's."""
        self.line.blocks = dict(list(self.line.blocks.items())[number:])
        if number == 5:
            self.line.foreign = {"b-00000000000000ff"}

    @rule()
    def line_is_new(self) -> None:
        """It comes back with nothing, as after a new installation."""
        self.line = Line(self.line.capabilities, self.line.journal)
        self.connect()

    @rule()
    def gateway_restarts(self) -> None:
        self.history.again()
        self.start()
        self.connect()

    @invariant()
    def nothing_protected_is_blocked(self) -> None:
        assert not any(block.target.value.startswith("10.") for block in self.line.blocks.values())

    @invariant()
    def sums_are_what_they_sum(self) -> None:
        whom = Whom("line", self.line.capabilities.targets)
        for upto in (0, self.supervisor.cursor, self.history.last_order):
            held = self.history.held(upto, whom, self.now)
            assert self.history.digest(upto, whom, self.now) == Digest.of(held)

    def teardown(self) -> None:
        if not self.connected:
            self.connect()
        self.hear("")
        for _ in range(40):  # longer than any pause, shorter than most blocks live
            self.passes(0.3)
            while step := self.supervisor.step(self.now, self.tick):
                self.carry_out(step, "")
        self.supervisor.refused.clear()  # refusals are final until it connects again
        self.connect()
        while step := self.supervisor.step(self.now, self.tick):
            self.carry_out(step, "")
        assert self.meant(self.now + GRACE) <= set(self.line.blocks) <= self.meant(self.now - GRACE)

    def meant(self, time: float) -> set[str]:
        whom = Whom("line", self.line.capabilities.targets)
        return {block.id for block in self.history.standing_orders.live(time) if whom.concerns(block)}


@pytest.mark.prove
def test_whatever_happens_the_line_ends_up_with_what_stands() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
    )
