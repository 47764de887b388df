"""The probe: a process of its own, `python -m bench.invalidating.probe`, that asks the same on each of its connections.

It takes words on standard input and tells what it saw on standard output, both as lines of JSON. Told `Pass`, it asks
on one connection after the other; told `Ask`, on all of them without a pause, until it is told to end and every
connection has had an answer that was another than its first.
"""

from __future__ import annotations

import gc
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, cast

import msgspec

from bench.invalidating.lane import Lane, Sample, request
from bench.result import CannotRun

DEADLINE = 15.0  # seconds for an answer, and for the first that is another


class Start(msgspec.Struct, tag=True, frozen=True):
    """The first word."""

    port: int
    path: str
    header: str
    lanes: int


class Keep(msgspec.Struct, tag=True, frozen=True):
    """Leave all connections but these."""

    lanes: list[int]


class Pass(msgspec.Struct, tag=True, frozen=True):
    """Ask so often on one connection after the other."""

    token: str
    times: int


class Ask(msgspec.Struct, tag=True, frozen=True):
    """Ask without a pause. Answered twice: as soon as each connection has had an answer, and at the end."""

    token: str


class End(msgspec.Struct, tag=True, frozen=True):
    """No longer than needed."""


Word = Start | Keep | Pass | Ask | End


class Probe:
    """The parent's end."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._in, self._out = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)

    def keep(self, lanes: Sequence[int]) -> None:
        """Leave all connections but these."""
        self._say(Keep(list(lanes)))

    def passes(self, token: str, times: int) -> list[Sample]:
        """Ask so often on one connection after the other. Raises CannotRun."""
        self._say(Pass(token, times))
        return self._heard()

    def begin(self, token: str) -> list[Sample]:
        """Ask without a pause from now on; the first answers, one on each connection. Raises CannotRun."""
        self._say(Ask(token))
        return self._heard()

    def end(self) -> list[Sample]:
        """All other answers since `begin`, once each connection has had another than its first. Raises CannotRun."""
        self._say(End())
        return self._heard()

    def _say(self, word: Word) -> None:
        try:
            self._in.write(msgspec.json.encode(word) + b"\n")
            self._in.flush()
        except OSError as error:
            raise CannotRun("the probe has ended") from error

    def _heard(self) -> list[Sample]:
        line = self._out.readline()
        if not line:
            raise CannotRun("the probe has ended")
        return msgspec.json.decode(line, type=list[Sample])


@contextmanager
def probe(start: Start) -> Iterator[Probe]:
    """A probe that runs as long as the block."""
    command = (sys.executable, "-m", "bench.invalidating.probe")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            made = Probe(child)
            made._say(start)
            yield made
        finally:
            child.kill()


class _Asking:
    """The child's end."""

    def __init__(self, start: Start) -> None:
        self._path = start.path
        self._lanes = {lane.socket.fileno(): lane for lane in _lanes(start)}
        self._poll = select.epoll()
        for descriptor in self._lanes:
            self._poll.register(descriptor, select.EPOLLIN)
        self._words = select.epoll()
        self._words.register(sys.stdin.fileno(), select.EPOLLIN)

    def follow(self, word: Word) -> None:
        """Do what a word says."""
        match word:
            case Keep(lanes):
                self._keep(set(lanes))
            case Pass(token, times):
                asked = request(self._path, token)
                _tell([self._once(lane, asked) for _ in range(times) for lane in self._lanes.values()])
            case Ask(token):
                self._ask(request(self._path, token))
            case _:
                raise CannotRun(f"not now: {word}")

    def _keep(self, kept: set[int]) -> None:
        for descriptor, lane in list(self._lanes.items()):
            if lane.number not in kept:
                self._poll.unregister(descriptor)
                self._lanes.pop(descriptor).socket.close()

    def _once(self, lane: Lane, asked: bytes) -> Sample:
        lane.ask(asked)
        while True:
            for sample in self._answers(DEADLINE):
                return sample

    def _ask(self, asked: bytes) -> None:
        first = [self._once(lane, asked) for lane in self._lanes.values()]
        _tell(first)
        samples, same, ended = list[Sample](), {one.lane: one.mark for one in first}, False
        end = time.monotonic() + DEADLINE
        for lane in self._lanes.values():
            lane.ask(asked)
        while same or not ended:
            if time.monotonic() > end:
                raise CannotRun(f"{len(same)} connections of the probe had no answer but the first")
            for sample in self._answers(DEADLINE):
                samples.append(sample)
                if sample.mark != same.get(sample.lane, sample.mark):
                    del same[sample.lane]
                self._by_number(sample.lane).ask(asked)
            ended = ended or bool(self._words.poll(0))
        sys.stdin.buffer.readline()
        left = len(self._lanes)
        while left:
            last = list(self._answers(DEADLINE))
            samples, left = samples + last, left - len(last)
        _tell(samples)

    def _answers(self, seconds: float) -> Iterator[Sample]:
        ready = self._poll.poll(seconds)
        if not ready:
            raise CannotRun("an edge that does not answer")
        for descriptor, _ in ready:
            if sample := self._lanes[descriptor].answer():
                yield sample

    def _by_number(self, number: int) -> Lane:
        return next(lane for lane in self._lanes.values() if lane.number == number)


def _lanes(start: Start) -> list[Lane]:
    return [Lane(number, start.port, start.header) for number in range(start.lanes)]


def _tell(samples: Sequence[Sample]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(samples) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Follow words until there are no more."""
    words = (msgspec.json.decode(line, type=Word) for line in iter(sys.stdin.buffer.readline, b""))
    start = next(words)
    if not isinstance(start, Start):
        raise CannotRun(f"a probe begins otherwise than with {start}")
    asking = _Asking(start)
    gc.disable()  # no pause of ours in what is measured
    for word in words:
        gc.collect()
        asking.follow(word)


if __name__ == "__main__":
    main()
