"""A side of the comparison: where it listens, and what its processes cost."""

from __future__ import annotations

from dataclasses import dataclass

from bench.machine import command, cpu_seconds, descendants

ENVOY, GATEWAY, PLUGIN, OTHERS = "envoy", "gateway", "plugin", "others"


@dataclass(frozen=True)
class Side:
    """A system under test. `roots` are the processes that were started, with what each is; they may have children."""

    name: str
    port: int
    roots: dict[int, str]

    def cpu_seconds(self) -> dict[int, float]:
        """User and system time so far, by process."""
        pids = [pid for root in self.roots for pid in (root, *descendants(root))]
        return {pid: cpu_seconds(pid) for pid in pids}

    def spent_us(self, before: dict[int, float], requests: int) -> dict[str, float]:
        """CPU microseconds for each request since `before`, by what the processes are."""
        spent = dict.fromkeys(self.roots.values(), 0.0)
        for pid, seconds in self.cpu_seconds().items():
            role = self.roots.get(pid) or _role(pid)
            spent[role] = spent.get(role, 0.0) + (seconds - before.get(pid, 0.0)) * 1e6 / requests
        return spent


def _role(pid: int) -> str:
    words = command(pid)
    if "/envoy " in words:
        return ENVOY
    return GATEWAY if " run gateway" in words else OTHERS
