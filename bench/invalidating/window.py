"""What came of one signal, from what the probe saw: pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.invalidating.lane import Sample
from bench.result import CannotRun

OK = 200
_REFUSED = {401, 403}
Workers = Mapping[int, int]  # by connection: whose it is


@dataclass(frozen=True)
class Window:
    """Milliseconds since just before the order was written."""

    workers_ms: Sequence[float]  # until the first answer that was judged anew had come, by worker
    marked_ms: float | None  # until the edge could know; None where the answer was there before anybody looked
    acknowledged_ms: float
    after: int  # answers to what was asked after the order was acknowledged
    stale: int  # those of them that were given by the old decision
    anew_ms: Sequence[float]  # what those first answers took
    asking_ms: Sequence[float]  # what answers took that were given again, before the order


def window(samples: Sequence[Sample], workers: Workers, start: int, marked: int | None, acknowledged: int) -> Window:
    """Raises CannotRun when a worker never refused, or somebody answered with something else."""
    if others := {one.status for one in samples} - {OK, *_REFUSED}:
        raise CannotRun(f"the probe was answered with {others}")
    first = first_of([one for one in samples if one.status != OK], workers)
    after = [one for one in samples if one.asked >= acknowledged]
    return Window(
        workers_ms=[(one.answered - start) / 1e6 for one in first],
        marked_ms=None if marked is None else (marked - start) / 1e6,
        acknowledged_ms=(acknowledged - start) / 1e6,
        after=len(after),
        stale=sum(one.status == OK for one in after),
        anew_ms=[(one.answered - one.asked) / 1e6 for one in first],
        asking_ms=[(one.answered - one.asked) / 1e6 for one in samples if one.answered <= start],
    )


def first_of(samples: Sequence[Sample], workers: Workers) -> list[Sample]:
    """The first answer of each worker. Raises CannotRun where one gave none."""
    first: dict[int, Sample] = {}
    for one in sorted(samples, key=lambda sample: sample.answered):
        first.setdefault(workers[one.lane], one)
    if len(first) < len(set(workers.values())):
        raise CannotRun("a worker of Envoy went on giving the old answer")
    return [first[worker] for worker in sorted(first)]


def workers_of(samples: Sequence[Sample], count: int) -> dict[int, int] | None:
    """Whose each connection is, where each was asked more than once: a worker has one answer for all of its own, and
    gives it again. None where these are not answers of so many workers that were given again.
    """
    marks: dict[int, list[Sample]] = {}
    for one in samples:
        marks.setdefault(one.lane, []).append(one)
    last = {lane: asked[-1].mark for lane, asked in marks.items()}
    again = all(len(asked) > 1 and asked[-1].mark == asked[-2].mark for asked in marks.values())
    names = sorted(set(last.values()))
    if not again or "" in names or len(names) != count or any(one.status != OK for one in samples):
        return None
    return {lane: names.index(mark) for lane, mark in last.items()}
