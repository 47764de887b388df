"""From what came of each signal to figures: shares of all signals and workers, in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.invalidating.window import Window

Numbers = dict[str, float]


def figures(windows: Mapping[str, Sequence[Window]], main: str) -> Numbers:
    """By kind of signal; those of the kind `main` have names without it."""
    numbers: Numbers = {}
    for kind, found in windows.items():
        prefix = "" if kind == main else f"{kind}_"
        numbers |= {f"{prefix}{name}": value for name, value in _of(found).items()}
    asking = [each for found in windows.values() for one in found for each in one.asking_ms]
    numbers |= _shares("asking_", asking) if asking else {}
    return numbers | {
        "asked_after_acknowledged": sum(one.after for found in windows.values() for one in found),
        "stale_after_acknowledged": sum(one.stale for found in windows.values() for one in found),
    }


def pushed_figures(pushed: Sequence[Sequence[float]]) -> Numbers:
    """Of the peer: milliseconds of each push, by worker."""
    each = [one for workers in pushed for one in workers]
    return _shares("push_", each) | _shares("push_last_worker_", [max(workers) for workers in pushed])


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many in a hundred do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, len(ranked) * percent // 100)]


def _of(windows: Sequence[Window]) -> Numbers:
    marked = [one.marked_ms for one in windows if one.marked_ms is not None]
    workers = [each for one in windows for each in one.workers_ms]
    return {
        **_shares("", workers),
        **_shares("last_worker_", [max(one.workers_ms) for one in windows]),
        **(_shares("marked_", marked) if marked else {}),
        **_shares("anew_", [each for one in windows for each in one.anew_ms]),
        **_shares("acknowledged_", [one.acknowledged_ms for one in windows]),
    }


def _shares(name: str, values: Sequence[float]) -> Numbers:
    return {
        f"{name}p50_ms": percentile(values, 50),
        f"{name}p99_ms": percentile(values, 99),
        f"{name}max_ms": max(values),
    }
