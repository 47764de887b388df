"""`python -m bench NAME [OPTIONS]` runs the benchmark of that name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

_NOT_BENCHMARKS = {"__init__", "__main__", "go", "result", "machine", "system"}


def names() -> list[str]:
    """Benchmarks there are."""
    return sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - _NOT_BENCHMARKS)


def main(arguments: list[str]) -> int:
    """Run one benchmark; its exit status, or 2 for a name that is none."""
    if not arguments or arguments[0] not in names():
        print(f"usage: python -m bench {{{','.join(names())}}} [--json]", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"bench.{arguments[0]}").main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
