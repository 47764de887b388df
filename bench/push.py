"""From a block policy's acceptance until each of a thousand lines has enforced it and answered: agents, and OpenC2.

By one clock, the gateway's (Unix seconds): a block's story says when it was accepted, durable, and answered for by
each line. `portcullis up` runs whole. Lines run their real protocol, checks and journal, hundreds to a process, and
enforce into memory; among the agents is this host's own, which drives nftables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import uvloop

from bench.result import CannotRun, line, table
from deploy.demo import sandbox

ROUNDS = 5
BLOCKS = 40  # in a round
PARTS = ("agents", "openc2", "flood", "many", "crowdsec")


def main(arguments: Sequence[str]) -> int:
    """`python -m bench push [--json] [--rounds N] [--blocks N] [--parts NAME …]`."""
    parser = argparse.ArgumentParser(prog="python -m bench push", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--blocks", type=int, default=BLOCKS, help="in a round")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args(arguments)
    try:
        sandbox.enter()
        from bench.pushing.measuring import measure  # here: with the threads that it starts no sandbox can be entered

        result = uvloop.run(measure(options.rounds, options.blocks, options.parts))
    except (CannotRun, sandbox.NoSandbox) as error:
        print(f"push: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0
