"""A simulated week at the bank in which nobody is hostile, past the models that ship: whom they accuse all the same.

2,000 people by the hour of the day, fewer at the weekend, and 200 agents and workloads that run day and night. Who is
accused is counted once a day, as an analyst would be asked about them. There is no peer: nobody else tells of a week.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.machine import facts
from bench.result import Result, line, table
from detectors import default_pipeline, put_defaults
from detectors.simulator import honest_days

PEOPLE, AGENTS = 2000, 200
STEP = 2.0  # seconds of events that are judged together
_DAY = 86_400.0  # seconds


def main(arguments: Sequence[str]) -> int:
    """`python -m bench week [--json] [--seed N] [--days N] [--people N] [--agents N]`."""
    parser = argparse.ArgumentParser(prog="python -m bench week", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    for name, value in (("seed", 1), ("days", 7), ("people", PEOPLE), ("agents", AGENTS)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args(arguments)
    result = measure(options.seed, options.days, options.people, options.agents)
    print(line(result) if options.json else table(result))
    return 0


def measure(seed: int, days: int, people: int, agents: int) -> Result:
    """Play the days, one after the other, past one pipeline that knows nobody at first."""
    each, events = list[int](), 0
    with TemporaryDirectory(prefix="week-") as folder:
        put_defaults(Path(folder))
        pipeline = default_pipeline(Path(folder))
        batches = (one.batch for one in honest_days(seed, days, people, agents, STEP))
        for _, day in groupby(batches, lambda batch: batch.time[0] // _DAY):
            who: dict[tuple[str, str], str] = {}
            for batch in day:
                events += len(batch)
                for verdict in pipeline.process([batch], float(batch.time[-1])):
                    who.setdefault((verdict.kind, verdict.subject), f"{verdict.score:.3f} {verdict.evidence}")
            each.append(len(who))
            _tell(len(each), events, who)
    return Result(
        name="week",
        figures={
            "false_alarms_per_1000_a_day": round(1000 * sum(each) / days / (people + agents), 4),
            "false_alarms_first_day": each[0],
            "false_alarms_worst_day": max(each),
            "events": events,
            "days": days,
        },
        ratios={},
        peer="none",
        rounds=1,
        machine=facts(),
        settings={"seed": str(seed), "people": str(people), "agents": str(agents), "step_seconds": str(STEP)},
    )


def _tell(day: int, events: int, who: dict[tuple[str, str], str]) -> None:
    at = time.strftime("%H:%M:%S")
    print(f"{at} day {day}: {len(who)} accused, {events:,} events so far", file=sys.stderr)
    for (kind, subject), said in who.items():
        print(f"    {kind} {subject}: {said}", file=sys.stderr)
