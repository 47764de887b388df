"""What operators see and do: the running gateway as plain values (the admin API's port is declared above us)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import generate_latest

from defense_lines import Cut, Leave, LedgerUnwritable, Override, Service
from gateway.agents import Agent, Order
from gateway.app import Gateway
from gateway.blocking import new_block
from gateway.configuration import Loaded
from gateway.lifting import Selection
from gateway.policy_data import PolicyData
from gateway.sessions import Session
from policy import BlockPolicy, Cause, Target, TargetKind
from telemetry import EventBatch, Words

Record = dict[str, Any]
_TAIL = 10_000  # events that wait for one who looks on
_NAMED = 100  # whom a dry run names
_TURN = 20  # blocks that are judged in one turn of the loop
_IMPORTED = "import:"  # before the source of what is imported


class GatewayOperations:
    """Every operation answers with JSON values; what is refused is an answer."""

    def __init__(self, gateway: Gateway, read: Callable[[], Loaded] | None = None) -> None:
        """`read` finds the configuration where it is kept; none where it is kept nowhere."""
        self._gateway = gateway
        self._read = read
        self._data = PolicyData(gateway.policies.pdp, gateway.ledger, gateway.rejudging)

    def status(self) -> Record:
        """The gateway at a glance."""
        gateway = self._gateway
        ready, parts = self.readyz()
        return {
            "pid": os.getpid(),
            "started": gateway.started,
            "revision": gateway.policies.pdp.revision,
            "sessions": len(gateway.sessions),
            "blocks": len(gateway.blocklist.active()),
            "ready": ready,
            **parts,
        }

    def lines(self) -> list[Record]:
        """Each line's state."""
        return [msgspec.to_builtins(line) for line in self._gateway.hub.status()]

    async def compact_ledger(self, age: float, archive: str, by: str, dry_run: bool) -> Record:
        """What is old goes into an archive, while the gateway writes on."""
        before = time.time() - age
        done = await self._gateway.ledger.compact(before, Path(archive), f"operator:{by}", dry_run)
        return {"outcome": "dry_run" if dry_run else "compacted", **msgspec.to_builtins(done)}

    async def serve_line(self, name: str, service: Service, by: str, reason: str) -> Record:
        """Give a line orders, or none for now, on record."""
        served = await self._gateway.hub.serve(name, service, f"analyst:{by}", reason)
        return {"outcome": service if served else "unknown", "line": name}

    async def test_line(self, name: str, by: str, reason: str) -> Record:
        """A harmless block on one line, there and back."""
        if name not in self._gateway.hub.states():
            return {"outcome": "unknown", "line": name}
        return {"line": name} | await self._gateway.guarding.testing.test(name, f"analyst:{by}", reason)

    async def blocks(self) -> AsyncIterator[list[Record]]:
        """Every block that stands, some at a time."""
        async for page in self._gateway.ledger.pages():
            yield [_block(block) for block in page]

    async def block(self, block_id: str) -> Record | None:
        """One block's story, line by line."""
        story = await self._gateway.hub.story(block_id)
        return None if story is None else _block(story.block) | msgspec.to_builtins(story)

    async def add_block(
        self, kind: TargetKind, value: str, ttl: float, reason: str, by: str, override: bool, dry_run: bool = False
    ) -> Record:
        """An operator's block goes the same way as a verdict's."""
        (cause, leave), now = _ordered(by, reason, override), time.time()
        blocking = self._gateway.guarding.blocking
        if not dry_run:
            return await blocking.block(kind, value, ttl, cause, now, leave)
        target = Target.of(kind, value)
        held, sessions = self._gateway.blocklist.holding(target), self._gateway.sessions.find(kind, value)
        return blocking.dry_run(target, ttl, cause, now, leave) | {"held_by": list(held), "sessions": len(sessions)}

    async def add_blocks(
        self, targets: Sequence[Target], ttl: float, reason: str, by: str, override: bool, dry_run: bool = False
    ) -> list[Record]:
        """Many of an operator's, each judged by itself; others run in between."""
        cause, leave = _ordered(by, reason, override)
        blocking, recorded = self._gateway.guarding.blocking, list[asyncio.Task[Record]]()
        async with asyncio.TaskGroup() as tasks:
            for number, target in enumerate(targets, 1):
                if dry_run:
                    done = self.add_block(target.kind, target.value, ttl, reason, by, override, dry_run=True)
                else:
                    now = time.time()
                    done = blocking.acknowledged(blocking.judged(new_block(target, ttl, cause, now), now, leave))
                recorded.append(tasks.create_task(done))
                if number % _TURN == 0:
                    await asyncio.sleep(0)
        return [task.result() for task in recorded]

    async def lift_block(self, block_id: str, by: str, reason: str) -> Record:
        """End a block early, on record."""
        lifted = await self._gateway.guarding.blocking.lift(block_id, f"analyst:{by}", reason)
        return {"outcome": "lifted" if lifted else "unknown", "block": block_id}

    async def lift_blocks(self, selection: Selection, by: str, reason: str, dry_run: bool) -> Record:
        """End all that a selection holds, on record."""
        return await self._gateway.guarding.lifting.lift(selection, f"analyst:{by}", reason, dry_run)

    def approvals(self) -> list[Record]:
        """Blocks that wait for a second person."""
        return self._gateway.guarding.waiting(time.time())

    async def approve(self, block_id: str, by: str, reason: str) -> Record:
        """A second person wants it."""
        return await self._gateway.guarding.approving.approve(block_id, f"analyst:{by}", reason, time.time())

    async def decline(self, block_id: str, by: str, reason: str) -> Record:
        """A second person does not."""
        return await self._gateway.guarding.approving.decline(block_id, f"analyst:{by}", reason, time.time())

    def sessions(self, index: str, value: str) -> list[Record]:
        """Live sessions under an index, or all."""
        found = self._gateway.sessions.find(index, value) if index else tuple(self._gateway.sessions)
        return [_session(session) for session in found]

    def session(self, session_id: str) -> Record | None:
        """One live session with what it rests on and depends on; None if it lives no more."""
        found = self._gateway.sessions.find("session", session_id)
        return _session(found[0]) | _rests(found[0]) if found else None

    def cuts(self, limit: int) -> list[Record]:
        """The newest cuts, newest first."""
        return self._gateway.records.cuts(limit)

    async def cut(self, kind: str, value: str, reason: str, by: str, dry_run: bool) -> Record:
        """End live sessions now, on record; blocks nobody. Raises LedgerUnwritable: they have ended all the same."""
        found = self._gateway.sessions.find(kind, value)
        if dry_run:
            return {"outcome": "dry_run", "sessions": len(found), "who": sorted({_who(one) for one in found})[:_NAMED]}
        ended = self._gateway.sessions.cut(found, reason, "analyst")
        record = Cut(kind=kind, value=value, sessions=ended, by=f"analyst:{by}", reason=reason)
        try:
            await self._gateway.ledger.append(record)
        except LedgerUnwritable as error:
            raise LedgerUnwritable(f"{ended} sessions were cut, but that is not on record: {error}") from error
        return {"outcome": "cut", "sessions": ended, "by": by}

    def agents(self, after: str, limit: int) -> list[Record]:
        """Registered agents, a page at a time."""
        return [agent.told() for agent in self._gateway.agents.page(after, limit)]

    async def agent(self, name: str) -> Record | None:
        """One agent, its live sessions and its history."""
        agent = self._gateway.agents.get(name)
        if agent is None:
            return None
        sessions, history = self._sessions_of(agent), await self._gateway.registrar.history(name)
        return {**agent.told(), "sessions": sessions, "history": history}

    async def order_agent(self, order: Order, dry_run: bool) -> Record:
        """Change the registry; live sessions that this forbids end."""
        order = msgspec.structs.replace(order, by=f"analyst:{order.by}")
        answer, known = await self._gateway.registrar.order(order, dry_run), self._gateway.agents.get(order.agent)
        return answer | {"sessions": self._sessions_of(known)} if dry_run and known else answer

    def _sessions_of(self, agent: Agent) -> int:
        names = agent.profile.names()
        return len({session.id for name in names for session in self._gateway.sessions.find("actor", name)})

    async def reload_policy(self) -> Record:
        """The configured policy again, as a whole or not at all; streams that it forbids end."""
        problems = await self._gateway.policies.reload()
        if problems:
            return {"problems": [msgspec.to_builtins(problem) for problem in problems]}
        ended = await self._rejudged(self._gateway.rejudging.everyone)
        return {"revision": self._gateway.policies.pdp.revision, "sessions_ended": ended}

    async def reload_configuration(self, dry_run: bool) -> Record:
        """The configuration again, as a whole or not at all; streams whose route is another now end."""
        if self._read is None:
            return {"problems": ["there is no file to read it from"]}
        answer = await self._gateway.reconfiguring.reload(self._read, dry_run)
        if answer.problems:
            return {"problems": list(answer.problems)}
        outcome = "dry_run" if dry_run else "live"
        return {"outcome": outcome, "changed": list(answer.changed), "sessions_ended": answer.sessions_ended}

    async def _rejudged(self, signal: Callable[[], int]) -> int:
        """How many sessions a signal ended, once all that it touched are judged."""
        before = self._gateway.rejudging.ended
        signal()
        return await self._gateway.rejudging.settled() - before

    def policy_data(self, path: tuple[str, ...]) -> Record | None:
        """What policy sees at a path of `data`."""
        return self._data.read(path)

    async def put_policy_data(self, path: tuple[str, ...], value: Any, reason: str, by: str, dry_run: bool) -> Record:
        """Write a live value, on record; streams that policy now forbids end."""
        return await self._data.put(path, value, reason, by, dry_run)

    async def remove_policy_data(self, path: tuple[str, ...], reason: str, by: str, dry_run: bool) -> Record:
        """Take live values away, on record; streams that policy now forbids end."""
        return await self._data.remove(path, reason, by, dry_run)

    async def patch_policy_data(self, operations: Any, reason: str, by: str, dry_run: bool) -> Record:
        """Apply a JSON patch, on record; streams that policy now forbids end."""
        return await self._data.patch(operations, reason, by, dry_run)

    def decisions(self, limit: int) -> list[Record]:
        """The newest decisions, newest first."""
        return self._gateway.records.decisions(limit)

    def verdicts(self, limit: int) -> list[Record]:
        """The newest verdicts, newest first."""
        return self._gateway.records.verdicts(limit)

    def refusals(self, limit: int) -> list[Record]:
        """The newest refusals of the guard, newest first."""
        return self._gateway.records.refusals(limit)

    async def events(self) -> AsyncIterator[Record]:
        """Telemetry as it happens, until the caller stops."""
        tail = self._gateway.bus.subscribe("tail", _TAIL, history=True)
        try:
            while True:
                for event in (await tail.next()).events():
                    yield msgspec.to_builtins(event)
        finally:
            tail.close()

    async def import_events(self, data: bytes) -> Record:
        """Show a batch to who watches events, marked as imported; no detector gets it: history blocks nobody today.

        Raises telemetry.InvalidBatch.
        """
        batch = EventBatch.from_bytes(data)
        sources = Words(batch.source.codes, tuple(_IMPORTED + source for source in batch.source.values))
        refused = self._gateway.history_door.admit(replace(batch, source=sources))
        return {"events": len(batch) - sum(refused.values()), "refused": refused}

    def metrics(self) -> bytes:
        """Prometheus text exposition."""
        return generate_latest(self._gateway.together)

    def healthz(self) -> Record:
        """Told while the process works at all."""
        return {"ok": True}

    def readyz(self) -> tuple[bool, Record]:
        """Whether an Envoy runs on our configuration, a detector listens, the ledger takes records and all the judges
        beside the gateway answer.
        """
        gateway = self._gateway
        edge = gateway.ads.state
        parts = {
            "edge": msgspec.to_builtins(edge),
            "detectors": gateway.detection.connected,
            "ledger": gateway.ledger.writable,
            "lines": gateway.hub.states(),
            "judges": {str(number): pid for number, pid in sorted(gateway.judges().items())},
        }
        configured = edge.envoys > 0 and bool(edge.accepted) and edge.accepted == edge.desired
        judged = len(parts["judges"]) == gateway.config.gateway.workers - 1
        return configured and gateway.detection.connected and gateway.ledger.writable and judged, parts


def _ordered(by: str, reason: str, override: bool) -> tuple[Cause, Leave]:
    """Who answers for an operator's block, and what the guard is asked to let pass."""
    cause = Cause(reason=reason, by=f"analyst:{by}")
    return cause, Leave(override=Override(by=cause.by, reason=reason) if override else None)


def _block(block: BlockPolicy) -> Record:
    return {
        "id": block.id,
        "kind": block.target.kind,
        "value": block.target.value,
        "created": block.created,
        "expires": block.expires,
        "lines": list(block.lines),
        **msgspec.to_builtins(block.cause),
    }


def _who(session: Session) -> str:
    principal = session.request.principal
    return principal.id if principal.actor == principal.id else f"{principal.actor} for {principal.id}"


def _rests(session: Session) -> Record:
    principal, evidence = session.request.principal, session.evidence
    return {
        "proof": list(principal.proof),
        "expires": principal.expires,
        "judged": session.judged,
        "device": session.device,
        "token": principal.token,
        "key": evidence.key,
        "holder": evidence.holder,
        "certificate": evidence.certificate.thumbprint if evidence.certificate else "",
        "found_by": sorted(f"{kind} {value}" for kind, value in session.indexes()),
        "depends": sorted(".".join(map(str, path)) for path in session.depends),
    }


def _session(session: Session) -> Record:
    request = session.request
    return {
        "id": session.id,
        "since": session.since,
        "subject": request.principal.id,
        "actors": [actor.id for actor in request.principal.actors],
        "service": request.service,
        "path": request.path,
        "address": request.address,
        "revision": session.decision.revision,
    }
