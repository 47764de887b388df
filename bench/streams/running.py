"""Portcullis as it runs for this benchmark: who is let in, and what its two processes cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import command, cpu_seconds, descendants, memory_kb
from bench.result import CannotRun
from bench.streams.caller import PATH
from bench.system import AUDIENCE, Running
from deploy.demo.ports import free_port
from gateway.config import Config, Edge, Guard, Identity, Issuer, Route, Service


def configuration(folder: Path, behind: int, issuer: str, callers: Sequence[str]) -> Config:
    """One gRPC service whose calls are streams, one issuer, the starter policy."""
    trusted = Issuer(issuer=issuer, jwks_url=f"{issuer}/jwks", audience=AUDIENCE)
    return Config(
        state=folder / "state",
        edge=Edge(port=free_port(), concurrency=1, drain_seconds=1),
        services={"ledger": Service(address="127.0.0.1", port=behind, protocol="grpc")},
        routes=(Route(prefix=PATH.rpartition("/")[0], service="ledger", stream=True),),
        identity=Identity(issuers=(trusted,)),
        # A thousand callers at one address are an attack by any measure: this is about cuts that are ordered.
        guard=Guard(never_block_principals=tuple(callers)),
    )


@dataclass(frozen=True)
class Cost:
    """What the two processes in the way of a stream have used: memory now, CPU time so far."""

    at: float  # CLOCK_MONOTONIC seconds
    memory_kb: dict[str, float]
    cpu_seconds: dict[str, float]


@dataclass(frozen=True)
class Parts:
    """The processes of a running Portcullis."""

    pids: dict[str, int]  # "gateway" and "edge"
    everything: tuple[int, ...]

    @classmethod
    def of(cls, running: Running) -> Parts:
        """Found by their command lines. Raises CannotRun."""
        # The gateway's parent looks like it, and comes first.
        pids = {name: pid for pid in descendants(running.pid) if (name := _name(command(pid)))}
        if pids.keys() != {"gateway", "edge"}:
            raise CannotRun(f"only {', '.join(pids) or 'nothing'} of gateway and edge runs")
        return cls(pids, (running.pid, *descendants(running.pid)))

    def cost(self) -> Cost:
        """Now."""
        memory = {name: memory_kb(pid) for name, pid in self.pids.items()}
        return Cost(time.monotonic(), memory, {name: cpu_seconds(pid) for name, pid in self.pids.items()})

    async def idle(self, seconds: float) -> dict[str, float]:
        """Percent of a core that each uses, over that many seconds in which nothing happens."""
        before = self.cost()
        await asyncio.sleep(seconds)
        after = self.cost()
        spent = {name: after.cpu_seconds[name] - before.cpu_seconds[name] for name in self.pids}
        return {name: 100 * each / (after.at - before.at) for name, each in spent.items()}

    def memory_mb(self) -> float:
        """Of all processes, detectors and supervisor included."""
        return sum(memory_kb(pid) for pid in self.everything) / 1024


def _name(words: str) -> str:
    if "/envoy " in words:
        return "edge"
    return "gateway" if " run gateway" in words else ""
