"""What an agent needs of the firewall that it drives, and one that is only memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from defense_lines.agent.prefix import Prefix


def since_boot() -> float:
    """Seconds since this host's boot, whatever is done to its clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Until(msgspec.Struct, frozen=True, gc=False):
    """How long a prefix is to be blocked."""

    block_id: str  # the order that ends last
    end: float  # seconds since the host's boot


class Listing(NamedTuple):
    """What a firewall holds."""

    ends: Mapping[Prefix, float]  # of each prefix that is blocked, in seconds since the host's boot
    foreign: int = 0  # elements among ours that are not of our making


class Firewall(Protocol):
    """Blocks prefixes, each until its end, by itself: also while no agent runs. Its calls may wait for the kernel."""

    waits: bool  # whether it does: then it is called on threads of its own

    def start(self) -> None:
        """Make everything stand but the prefixes. Raises NftError, CapabilityError."""
        ...

    def change(self, changes: Mapping[Prefix, Until | None], fresh: bool = False) -> Mapping[Prefix, str]:
        """Block prefixes until an end, whatever is there already, or no longer; those that failed, and why.

        `fresh`: nothing is there.
        """
        ...

    def listing(self) -> Listing:
        """What is blocked at this moment, and really is. May be called beside the other calls. Raises NftError."""
        ...

    def close(self) -> None:
        """Free what is held; what is blocked stays so."""
        ...


class Memory:
    """Enforces into memory: for benchmarks and for harnesses with hundreds of agents in a process."""

    waits = False

    def __init__(self, boottime: Callable[[], float] = since_boot) -> None:
        self.ends: dict[Prefix, float] = {}
        self._boottime = boottime

    def start(self) -> None:
        """Nothing to do."""

    def change(self, changes: Mapping[Prefix, Until | None], fresh: bool = False) -> Mapping[Prefix, str]:
        """See Firewall."""
        for prefix, until in changes.items():
            if until is None:
                self.ends.pop(prefix, None)
            else:
                self.ends[prefix] = until.end
        return {}

    def listing(self) -> Listing:
        """See Firewall."""
        now = self._boottime()
        over = [prefix for prefix, end in self.ends.items() if end <= now]
        for prefix in over:
            del self.ends[prefix]
        return Listing(self.ends)

    def close(self) -> None:
        """Nothing to do."""
