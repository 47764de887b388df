"""How well models tell attacks on public data: trained on the training part, scored once on the test part, five seeds.

Nothing is chosen by a test part. What is missing of the data is named, and left out; with none at all the run fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.detecting import dga, endpoint, nsl_kdd, suricata, zeek
from bench.detecting.scores import Figures, missing, over_seeds
from bench.machine import facts
from bench.result import CannotRun, Result, line, table

SEEDS = 5
_TOLD = (  # while it runs
    "nsl_kdd_accuracy",
    "nsl_kdd_tpr_at_1fpr",
    "dga_auc",
    "dga_simulated_auc",
    "zeek_flow_precision",
    "zeek_flow_recall",
    "suricata_seconds_to_first_verdict",
    "endpoint_steps_named",
    "endpoint_false_alarms",
)
Measure = Callable[[int], Figures]


def _nsl_kdd() -> Measure:
    training, tests = nsl_kdd.parts()
    return lambda seed: nsl_kdd.measure(seed, training, tests)


def _dga() -> Measure:
    sample = dga.read()
    return lambda seed: dga.measure(seed, sample)


# A data set is what it needs, and what reads it; the figures' names begin with its own
PARTS: dict[str, tuple[Path, Callable[[], Measure]]] = {
    "nsl_kdd": (nsl_kdd.ARCHIVE, _nsl_kdd),
    "dga": (dga.SAMPLE, _dga),
    "zeek": (zeek.FOLDER, lambda: zeek.measure),
    "suricata": (suricata.CAPTURE, lambda: suricata.measure),
    "endpoint": (endpoint.FOLDER, lambda: endpoint.measure),
}


def main(arguments: Sequence[str]) -> int:
    """`python -m bench detection [--json] [--seeds N] [--parts NAME …]`."""
    parser = argparse.ArgumentParser(prog="python -m bench detection", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    options = parser.parse_args(arguments)
    try:
        result = measure(options.seeds, options.parts)
    except CannotRun as error:
        print(f"detection: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0


def measure(seeds: int, parts: Sequence[str]) -> Result:
    """Each part whose data is there, with each seed. Raises CannotRun where there is none."""
    absent = {part: lacking for part in parts if (lacking := missing([PARTS[part][0]]))}
    if len(absent) == len(parts):
        raise CannotRun(f"needs public data under ../shared/data: {', '.join(absent.values())}")
    figures = Figures()
    for part in parts:
        if part not in absent:
            figures |= over_seeds(_each(part, seeds))
    return _result(figures, seeds, absent)


def _each(part: str, seeds: int) -> list[Figures]:
    ask, found = PARTS[part][1](), list[Figures]()
    for seed in range(1, seeds + 1):
        began = time.monotonic()
        found.append(ask(seed))
        said = ", ".join(f"{name} {found[-1][name]:.4f}" for name in _TOLD if name in found[-1])
        print(
            f"{time.strftime('%H:%M:%S')} {part}, seed {seed}: {time.monotonic() - began:.0f} s, {said}",
            file=sys.stderr,
        )
    return found


def _result(figures: Figures, seeds: int, absent: dict[str, str]) -> Result:
    plain = {name: name.removeprefix("plain_") for name in figures if name.startswith("plain_")}
    ratios = {
        f"{ours}_vs_plain": figures[ours] / figures[peer]
        for peer, ours in plain.items()
        if ours in figures and ours.endswith(("_accuracy", "_auc", "_1fpr")) and figures[peer] > 0
    }
    return Result(
        name="detection",
        figures={name: round(value, 4) for name, value in figures.items()},
        ratios={name: round(value, 3) for name, value in ratios.items()},
        peer="XGBoost as it comes, on the same rows",
        rounds=seeds,
        machine=facts(),
        settings={
            "interval": "_low and _high: Student's t interval, 95 %, of the mean over seeds; one test part",
            "nsl_kdd": "official split; parts joined and threshold chosen by leaving kinds of attack out of KDDTrain+",
            "dga": f"{dga.FOLDS} folds that share no family",
            "zeek, suricata, endpoint": "past the pipeline that ships; its models learnt from the simulator alone",
            **{f"{part}_skipped": f"needs ../shared/data/{lacking}" for part, lacking in absent.items()},
        },
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
