"""What a benchmark ends with."""

from __future__ import annotations

import msgspec


class Result(msgspec.Struct, kw_only=True):
    """Figures have their unit in their name; a ratio sets us against the peer, the median over rounds."""

    name: str
    figures: dict[str, float]
    ratios: dict[str, float]
    peer: str
    rounds: int
    machine: dict[str, str]
    settings: dict[str, str]


class CannotRun(Exception):
    """A part that the benchmark needs is missing, or did not do what it must."""


def line(result: Result) -> str:
    """The result as one line of JSON."""
    return msgspec.json.encode(result).decode()


def table(result: Result) -> str:
    """The result for people."""
    rows = [f"{result.name}, {result.rounds} rounds, against {result.peer}"]
    rows += [f"  {name:<28} {value:>12,.3f}" for name, value in {**result.figures, **result.ratios}.items()]
    rows += [f"  {name:<28} {value}" for name, value in {**result.settings, **result.machine}.items()]
    return "\n".join(rows)
