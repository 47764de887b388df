"""What remembered tokens take: run as a process of its own, so that nothing else is in the figure."""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path

from bench.identities.callers import Bank
from bench.result import CannotRun
from policy import Principal

_PAGE = 4096


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def main(count: int) -> None:
    """Remember so many tokens, each another person's; print bytes a token."""
    bank = Bank.open(count)
    gc.collect()
    before = resident()
    for _ in range(count):
        (shown,) = bank.bearers("ES256", 1)
        if not isinstance(bank.identifier.identify(shown, time.time()), Principal):
            raise CannotRun("a good token was refused")
    gc.collect()
    print((resident() - before) / count)


if __name__ == "__main__":
    main(int(sys.argv[1]))
