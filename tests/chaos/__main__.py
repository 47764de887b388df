"""`python -m tests.chaos`: gateway, agents, consumers and broker are killed at random instants under load, with bad
wires between them. The last line is JSON. The exit status is 1 where a block was lost, enforced too long, not long
enough or wrongly, a line differs from the ledger, or a part ended by itself; 77 where this host cannot run it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from tests.chaos.parts import tool
from tests.chaos.run import Disk, run
from tests.chaos.wire import Weather

SKIPPED = 77
_SHOWN = 20  # findings of a kind


def main(arguments: Sequence[str]) -> int:
    """Run it once."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--disk", choices=get_args(Disk), default="kept", help="what the gateway's death leaves")
    parser.add_argument("--keep", type=Path, help="a new folder for all that the parts write")
    asked = parser.parse_args(arguments)
    print(f"seed {asked.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _check_host()
            report = asyncio.run(run(folder, asked.kills, asked.seed, Weather(), asked.disk))
        except pytest.skip.Exception as reason:
            print(reason, file=sys.stderr)
            return SKIPPED
    for kind in ("lost", "late", "gaps", "never", "drift"):
        for each in getattr(report, kind)[:_SHOWN]:
            print(f"{kind}: {each}")
    print(json.dumps(report.figures))
    return 0 if report.is_clean else 1


def _check_host() -> None:
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/net/tun")
    if missing := [name for name in ("nft", "ip", "mosquitto") if tool(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
