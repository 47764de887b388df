"""`python -m tests.chaos`: gateway, agents and broker are killed at random instants under load, with bad wires between
them. The last line is JSON; the exit status is 1 where a block was lost, enforced too long or wrongly, or a line differs
from the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.run import run
from tests.chaos.wire import Weather

_SHOWN = 20  # findings of a kind


def main(arguments: Sequence[str]) -> int:
    """Run it once."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", type=Path, help="a new folder for all that the parts write")
    asked = parser.parse_args(arguments)
    print(f"seed {asked.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report = asyncio.run(run(folder, asked.kills, asked.seed, Weather()))
    for kind in ("lost", "late", "never", "drift"):
        for each in getattr(report, kind)[:_SHOWN]:
            print(f"{kind}: {each}")
    print(json.dumps(report.figures))
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
