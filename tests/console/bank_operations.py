"""A gateway that exists only as answers: what the admin API and the command line are tested against."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from console.admin_server import serving
from defense_lines import LedgerUnwritable
from gateway.agents import Agent, AgentsUnwritable, Order, Registry
from gateway.lifting import Selection
from policy import UNDEFINED, DataStore, Target, pointer_to
from telemetry import EventBatch

BLOCK = {"id": "b-1", "kind": "address", "value": "198.51.100.7", "expires": 2e9, "reason": "scan", "by": "jo"}
WAITING = {
    "id": "b-7",
    "kind": "address",
    "value": "203.0.113.9",
    "by": "analyst:jo",
    "rule": "shared",
    "held": "it is many people's",
    "until": 2e9,
    "radius": {"principals": 10_000},
}
LINE = {
    "name": "edge",
    "state": "failing",
    "service": "in_service",
    "pending": 7,
    "enforced": 3,
    "last_contact": None,
    "last_error": "disk full",
    "p99_ms": 4.2,
}
CONFIGURATION = """\
state: {state}
services: {{accounts: {{address: 127.0.0.1, port: 8080}}}}
routes: [{{prefix: /, service: accounts}}]
"""


class BankOperations:
    """Answers like a gateway with one block, and keeps what it was ordered."""

    def __init__(self) -> None:
        self.ordered: list[tuple[Any, ...]] = []
        self.standing = [BLOCK]
        self.problems: list[dict[str, Any]] = []
        self.misconfigured = ""
        self.data = DataStore({"limits": {"person:alice": 500}, "many": list(range(20))})
        self.registry = Registry()
        self.broken = False
        self.full = False

    def status(self) -> dict[str, Any]:
        if self.broken:
            raise RuntimeError("a secret of ours")
        return {"revision": "r-1", "started": 1.7e9, "sessions": 2, "blocks": 1, "ready": True}

    def lines(self) -> list[dict[str, Any]]:
        return [LINE]

    async def compact_ledger(self, age: float, archive: str, by: str, dry_run: bool) -> dict[str, Any]:
        self.ordered.append(("compact", age, archive, by, dry_run))
        if archive == "/nowhere":
            raise FileNotFoundError(archive)
        return {"outcome": "dry_run" if dry_run else "compacted", "upto": 7, "moved": 5, "kept": 2, "archive": "a"}

    async def serve_line(self, name: str, service: str, by: str, reason: str) -> dict[str, Any]:
        self.ordered.append(("serve", name, service, by, reason))
        return {"outcome": service if name == "edge" else "unknown", "line": name}

    async def test_line(self, name: str, by: str, reason: str) -> dict[str, Any]:
        self.ordered.append(("test", name, by, reason))
        outcome = {"edge": "passed", "deaf": "failed"}.get(name, "unknown")
        return {"line": name, "outcome": outcome, "enforced_ms": 1.2}

    async def blocks(self) -> AsyncIterator[list[dict[str, Any]]]:
        yield []  # pages on which nothing stands any more
        for block in self.standing:
            yield [block]
        yield []

    async def block(self, block_id: str) -> dict[str, Any] | None:
        receipts = [{"line": "edge", "outcome": "enforced", "ms": 0.2}]
        return {**BLOCK, "receipts": receipts} if block_id == "b-1" else None

    async def add_block(
        self, kind: str, value: str, ttl: float, reason: str, by: str, override: bool, dry_run: bool = False
    ) -> dict[str, Any]:
        if dry_run:
            return {"outcome": "dry_run", "would": "held", "reason": "shared", "who": ["person:bob"], "sessions": 1}
        self.ordered.append(("add", kind, value, ttl, reason, by, override))
        if self.full:
            raise LedgerUnwritable("disk full")
        if value == "127.0.0.1" and not override:
            return {"outcome": "refused", "reason": "never blocked"}
        if value == "203.0.113.9":
            return {"outcome": "held", "block": "b-7", "reason": "it is many people's"}
        return {"outcome": "accepted", "id": "b-2"}

    async def add_blocks(
        self, targets: Sequence[Target], ttl: float, reason: str, by: str, override: bool, dry_run: bool = False
    ) -> list[dict[str, Any]]:
        return [
            await self.add_block(target.kind, target.value, ttl, reason, by, override, dry_run) for target in targets
        ]

    async def lift_block(self, block_id: str, by: str, reason: str) -> dict[str, Any]:
        self.ordered.append(("lift", block_id, by, reason))
        return {"outcome": "lifted" if block_id == "b-1" else "unknown"}

    async def lift_blocks(self, selection: Selection, by: str, reason: str, dry_run: bool) -> dict[str, Any]:
        self.ordered.append(("lift all", selection, by, reason, dry_run))
        return {"outcome": "dry_run" if dry_run else "lifted", "blocks": 2, "ids": ["b-1", "b-2"]}

    def approvals(self) -> list[dict[str, Any]]:
        return [WAITING]

    async def approve(self, block_id: str, by: str, reason: str) -> dict[str, Any]:
        self.ordered.append(("approve", block_id, by, reason))
        if by.startswith("jo"):
            return {"outcome": "refused", "rule": "four_eyes", "reason": "jo asked for it"}
        return {"outcome": "accepted" if block_id == "b-7" else "unknown", "block": block_id}

    async def decline(self, block_id: str, by: str, reason: str) -> dict[str, Any]:
        self.ordered.append(("decline", block_id, by, reason))
        return {"outcome": "declined" if block_id == "b-7" else "unknown", "block": block_id}

    def sessions(self, index: str, value: str) -> list[dict[str, Any]]:
        rows = [{"id": "d-1", "principal": "person:alice"}, {"id": "d-2", "principal": "person:[bold]bob\x1b[31m"}]
        return [row for row in rows if index != "principal" or row["principal"] == value]

    async def cut(self, kind: str, value: str, reason: str, by: str, dry_run: bool) -> dict[str, Any]:
        self.ordered.append(("cut", kind, value, reason, by, dry_run))
        return {"outcome": "dry_run" if dry_run else "cut", "sessions": 1}

    def session(self, session_id: str) -> dict[str, Any] | None:
        return {"id": session_id, "proof": ["bearer"], "depends": ["data.risk"]} if session_id == "d-1" else None

    def cuts(self, limit: int) -> list[dict[str, Any]]:
        return [{"id": "c-1", "session": "d-1", "signal": "risk", "reason": "at_risk", "milliseconds": 1.2}][:limit]

    def agents(self, after: str, limit: int) -> list[dict[str, Any]]:
        return [agent.told() for agent in self.registry.page(after, min(limit, 2))]

    async def agent(self, name: str) -> dict[str, Any] | None:
        agent = self.registry.get(name)
        history = [{"change": "add", "time": 1.7e9, "by": "jo", "reason": "new"}]
        return None if agent is None else {**agent.told(), "sessions": 3, "history": history}

    async def order_agent(self, order: Order, dry_run: bool) -> dict[str, Any]:
        self.ordered.append(("agent", order.verb, order.agent, order.reason, order.by, dry_run))
        if self.full:
            raise AgentsUnwritable("in force, but not on record: disk full")
        after = self.registry.after(order, 1.8e9)
        if not isinstance(after, Agent):
            return {"outcome": "refused", "reason": "it cannot be"}
        if not dry_run:
            self.registry.put(after)
        return {"outcome": "dry_run" if dry_run else "done", "agent": after.told(), "sessions_ended": 3}

    async def reload_policy(self) -> dict[str, Any]:
        return {"problems": self.problems} if self.problems else {"revision": "r-2"}

    async def reload_configuration(self, dry_run: bool) -> dict[str, Any]:
        if self.misconfigured:
            return {"problems": [self.misconfigured]}
        return {"outcome": "dry_run" if dry_run else "live", "changed": ["routes.0.prefix"], "sessions_ended": 0}

    def policy_data(self, path: tuple[str, ...]) -> dict[str, Any] | None:
        try:
            value = self.data.copy(path, 10)
        except ValueError as error:
            return {"outcome": "refused", "reason": str(error)}
        return None if value is UNDEFINED else {"value": value}

    async def put_policy_data(
        self, path: tuple[str, ...], value: Any, reason: str, by: str, dry_run: bool
    ) -> dict[str, Any]:
        return self._change(partial(self.data.put, path, value), reason, by, dry_run)

    async def remove_policy_data(self, path: tuple[str, ...], reason: str, by: str, dry_run: bool) -> dict[str, Any]:
        return self._change(partial(self.data.remove, path), reason, by, dry_run)

    async def patch_policy_data(self, operations: Any, reason: str, by: str, dry_run: bool) -> dict[str, Any]:
        return self._change(partial(self.data.patch, operations), reason, by, dry_run)

    def _change(self, change: Any, reason: str, by: str, dry_run: bool) -> dict[str, Any]:
        self.ordered.append(("data", reason, by, dry_run))
        if self.full:
            raise LedgerUnwritable("disk full")
        try:
            paths = change(dry_run=dry_run)
        except ValueError as error:
            return {"outcome": "refused", "reason": str(error)}
        return {"outcome": "dry_run" if dry_run else "changed", "paths": [pointer_to(path) for path in paths]}

    def decisions(self, limit: int) -> list[dict[str, Any]]:
        return [{"id": f"d-{number}"} for number in range(limit)]

    def verdicts(self, limit: int) -> list[dict[str, Any]]:
        return []

    def refusals(self, limit: int) -> list[dict[str, Any]]:
        return []

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        for number in range(3):
            yield {"time": 1.7e9 + number, "source": "edge", "action": "GET", "resource": f"/accounts/{number}"}

    async def import_events(self, data: bytes) -> dict[str, Any]:
        batch = EventBatch.from_bytes(data)
        self.ordered.append(("import", len(batch)))
        return (
            {"events": len(batch) - 1, "refused": {"in_future": 1}} if len(batch) > 1 else {"events": 1, "refused": {}}
        )

    def metrics(self) -> bytes:
        return b"portcullis_up 1\n"

    def healthz(self) -> dict[str, Any]:
        return {"ok": True}

    def readyz(self) -> tuple[bool, dict[str, Any]]:
        return not self.broken, {"edge": not self.broken}


@contextlib.contextmanager
def served(operations: BankOperations, socket: Path, metrics_port: int | None = None) -> Iterator[None]:
    """Serve from a thread of its own, for clients that block."""
    up, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with serving(operations, socket, metrics_port):
            up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert up.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
