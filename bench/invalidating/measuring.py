"""One signal after another: remembered by every worker, signalled, taken back, remembered again."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.invalidating.admin import Admin, admin
from bench.invalidating.lane import Sample
from bench.invalidating.marks import Marks, marks
from bench.invalidating.probe import Probe, Start, probe
from bench.invalidating.signals import OWNER, SCOPE, Signal
from bench.invalidating.site import ACCOUNT, WORKERS
from bench.invalidating.window import OK, Window, Workers, window, workers_of
from bench.result import CannotRun
from bench.system import Issuer
from gateway.config import Config
from gateway.edge import EPOCHS_FILE

DECISION = "x-portcullis-decision"
CONNECTIONS = 16  # among so many, one of each worker is found
_PASSES = 3  # the first is judged, the others are given again
_TRIES = 10  # a signal about others may come between two passes
_LONGEST_CALM = 0.010  # seconds that the probe asks before the order, at most

_AFTER = 0.003  # seconds that it asks after the order is acknowledged, at least


@dataclass
class Asked:
    """What the probe asked, by what it was answered with."""

    passed: int = 0
    refused: int = 0

    def count(self, samples: Sequence[Sample]) -> None:
        """These too."""
        passed = sum(one.status == OK for one in samples)
        self.passed, self.refused = self.passed + passed, self.refused + len(samples) - passed


@dataclass
class Measuring:
    """Blocking: it belongs into a thread of its own."""

    admin: Admin
    marks: Marks
    probe: Probe
    issuer: Issuer
    drawn: random.Random
    workers: Workers = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)

    def pin(self) -> None:
        """Find out whose connections are, and keep one of each worker. Raises CannotRun."""
        token = self.issuer.token(OWNER, scope=SCOPE)
        self.workers = pinned(self._remembered(token))
        self.probe.keep(list(self.workers))

    def measured(self, signal: Signal, name: str) -> Window:
        """One signal. Raises CannotRun."""
        token, whom = signal.prepare(self.admin, self.issuer, name), signal.whom(name)
        self._same_workers(token)
        order = signal.order(name)
        self.asked.count(self.probe.begin(token))
        time.sleep(self.drawn.uniform(0.0, _LONGEST_CALM))
        before = self.marks.of(signal.marked, whom)
        start = self.admin.send(order)
        marked = self.marks.until(signal.marked, whom, before, self.admin.acknowledged)
        acknowledged, answer = self.admin.answer()
        time.sleep(_AFTER)
        samples = self.probe.end()
        self.asked.count(samples)
        self.admin.carry_out(signal.restore(name, answer))
        self._same_workers(token)
        return window(samples, self.workers, start, marked, acknowledged)

    def _same_workers(self, token: str) -> None:
        """Every worker remembers its answer, and each connection is still whose it was."""
        found = self._remembered(token)
        pairs = {(found[lane], self.workers[lane]) for lane in found}
        if len(pairs) != WORKERS:
            raise CannotRun("a connection of the probe is another worker's now")

    def _remembered(self, token: str) -> Workers:
        for _ in range(_TRIES):
            samples = self.probe.passes(token, _PASSES)
            self.asked.count(samples)
            if found := workers_of(samples[len(samples) // _PASSES :], WORKERS):
                return found
        raise CannotRun(f"not {WORKERS} workers that give their answers again: {samples[-1]}")


def pinned(found: Workers) -> Workers:
    """One connection of each worker."""
    return dict({worker: (lane, worker) for lane, worker in found.items()}.values())


@contextmanager
def measuring(config: Config, issuer: Issuer, seed: int) -> Iterator[Measuring]:
    """Connected as long as the block. Raises CannotRun, OSError."""
    run: Path = config.state / "run"
    with ExitStack() as stack:
        started = Start(config.edge.port, ACCOUNT, DECISION, CONNECTIONS)
        made = Measuring(
            admin=stack.enter_context(admin(run / "admin.sock")),
            marks=stack.enter_context(marks(run / EPOCHS_FILE)),
            probe=stack.enter_context(probe(started)),
            issuer=issuer,
            drawn=random.Random(seed),
        )
        made.pin()
        yield made
