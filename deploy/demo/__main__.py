"""`python -m deploy.demo`: into the sandbox first, while this process still has one thread, and only then the rest."""

from __future__ import annotations

import argparse
import sys

from deploy.demo import sandbox


def main() -> int:
    """Play the story; its exit code."""
    options = argparse.ArgumentParser(prog="portcullis demo", description="Play the demo bank's story.")
    options.add_argument("--json", action="store_true", help="end with one line of JSON on standard output")
    chosen = options.parse_args()
    missing = ""
    try:
        sandbox.enter()
    except sandbox.NoSandbox as error:
        missing = str(error)
    from deploy.demo import story

    return story.main(chosen.json, missing)


if __name__ == "__main__":
    sys.exit(main())
