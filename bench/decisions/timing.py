"""How decisions are timed: one at a time, by the process's own clock, which costs some 50 ns of each."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

WARM = 3  # times that a question is asked before it is timed: a gateway has just built what it asks about


def times(ask: Callable[[Any], Any], questions: Sequence[Any], passes: int = 1, warm: int = WARM) -> list[int]:
    """Nanoseconds that each question took. `opa bench` asks one question over and over; so do we, `warm` times."""
    clock, found = time.perf_counter_ns, []
    for _ in range(passes):
        for question in questions:
            for _ in range(warm):
                ask(question)
            start = clock()
            ask(question)
            found.append(clock() - start)
    return found


def p50(nanoseconds: Sequence[int]) -> float:
    """The median in microseconds."""
    return statistics.median(nanoseconds) / 1000


def p99(nanoseconds: Sequence[int]) -> float:
    """The 99th percentile in microseconds."""
    return sorted(nanoseconds)[int(0.99 * len(nanoseconds))] / 1000


def settle() -> None:
    """What is loaded lives on: the collector need not walk it again. A gateway does the same once it has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
