"""What the admin API needs of the gateway: everything an operator can see or do, as plain values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from defense_lines import Service
from gateway.agents import Order
from gateway.lifting import Selection
from policy import Target, TargetKind

Record = dict[str, Any]  # JSON values only; times are Unix seconds
Path = tuple[str, ...]


class Operations(Protocol):
    """The running gateway, as operators see it. What is refused is an answer; an exception is a fault of ours.

    Orders raise LedgerUnwritable where they are not acknowledged; blocks and cuts take effect at the edge all the same,
    changes of policy data do not.
    """

    def status(self) -> Record:
        """The gateway at a glance: at least `revision`, `started`, `sessions`, `blocks`, `ready`."""
        ...

    def lines(self) -> list[Record]:
        """One record a defense line: at least `name`, `state`, `service`, `pending`."""
        ...

    async def compact_ledger(self, age: float, archive: str, by: str, dry_run: bool) -> Record:
        """Move entries older than `age` seconds into an archive in a folder, but for what still matters: `outcome` is
        "compacted" or "dry_run", with `upto`, `moved`, `kept`, `archive`. Raises OSError for a folder that cannot be.
        """
        ...

    async def serve_line(self, name: str, service: Service, by: str, reason: str) -> Record:
        """Whether a line is given orders: `outcome` is the service it has now, or "unknown" for no line of ours."""
        ...

    async def test_line(self, name: str, by: str, reason: str) -> Record:
        """Have one line enforce and lift a harmless block: `outcome` is "passed", "failed", "refused" or "unknown"."""
        ...

    def blocks(self) -> AsyncIterator[list[Record]]:
        """Every block that stands, some at a time: at least `id`, `kind`, `value`, `expires`, `reason`, `by`."""
        ...

    async def block(self, block_id: str) -> Record | None:
        """One block's story, with every receipt; None if the ledger never held it."""
        ...

    async def add_block(
        self, kind: TargetKind, value: str, ttl: float, reason: str, by: str, override: bool, dry_run: bool = False
    ) -> Record:
        """Block a target for `ttl` seconds: `outcome` is "accepted", "canary" (on one line first), "held" (waits for a
        second person, with `reason` and `radius`), "refused" (with `reason`), or "dry_run", which says what `would`
        become of it and `who` would be hit.

        `override` asks the guard to let it pass, on record.
        """
        ...

    async def add_blocks(
        self, targets: Sequence[Target], ttl: float, reason: str, by: str, override: bool, dry_run: bool = False
    ) -> list[Record]:
        """Block many for one reason: each as `add_block` answers, in their order, but that one which the ledger could
        not take is "unacknowledged".
        """
        ...

    async def lift_block(self, block_id: str, by: str, reason: str) -> Record:
        """End a block before its time: `outcome` is "lifted", "refused" or "unknown"."""
        ...

    async def lift_blocks(self, selection: Selection, by: str, reason: str, dry_run: bool) -> Record:
        """End all that a selection holds: `{"outcome": "lifted" | "dry_run", "blocks": number, "ids": the first}`."""
        ...

    def approvals(self) -> list[Record]:
        """Blocks that wait for a second person: at least `id`, `kind`, `value`, `by`, `rule`, `held`, `until`, and whom
        they would hit, as it was when they were asked for and now.
        """
        ...

    async def approve(self, block_id: str, by: str, reason: str) -> Record:
        """Carry out a block that waits: as `add_block` answers; "refused" for who asked for it, "unknown" if none
        does.
        """
        ...

    async def decline(self, block_id: str, by: str, reason: str) -> Record:
        """Do not: `outcome` is "declined" or "unknown"."""
        ...

    def sessions(self, index: str, value: str) -> list[Record]:
        """Live sessions; `index` is one of those by which they are found, or empty for all."""
        ...

    def session(self, session_id: str) -> Record | None:
        """One live session with what it rests on and what its decision depends on; None if it lives no more."""
        ...

    def cuts(self, limit: int) -> list[Record]:
        """The newest cuts, newest first: who, why, on which signal, in how many milliseconds."""
        ...

    async def cut(self, kind: str, value: str, reason: str, by: str, dry_run: bool) -> Record:
        """Cut live sessions of a target: at least `{"outcome": "cut" | "dry_run", "sessions": number}`."""
        ...

    def agents(self, after: str, limit: int) -> list[Record]:
        """Registered agents whose id is after `after`, by id: at least `id`, `owner`, `purpose`, `state`, `expires`."""
        ...

    async def agent(self, name: str) -> Record | None:
        """One agent, with `sessions` (the live ones that it has a part in) and `history`; None if it is unknown."""
        ...

    async def order_agent(self, order: Order, dry_run: bool) -> Record:
        """Change the registry: `outcome` is "added", "replaced", "suspended", "resumed", "revoked", "unchanged",
        "dry_run" (with `sessions`, the live ones that it has a part in) or "refused", with `reason`.

        Raises AgentsUnwritable: a suspension or a revocation is in force all the same.
        """
        ...

    async def reload_policy(self) -> Record:
        """Load the policy again: `{"revision"}`, or `{"problems": ["file:line:column: …"]}` and the old one stays."""
        ...

    async def reload_configuration(self, dry_run: bool) -> Record:
        """Read the configuration again: `{"outcome": "live" | "dry_run", "changed": [keys], "sessions_ended"}`, or
        `{"problems": [texts]}` and nothing has changed.
        """
        ...

    def policy_data(self, path: Path) -> Record | None:
        """What policy sees in `data` at a path: `{"value"}`, of Rego values; None if there is nothing, and `outcome`
        "refused" for more than one answer should have.
        """
        ...

    async def put_policy_data(self, path: Path, value: Any, reason: str, by: str, dry_run: bool) -> Record:
        """Write a live value: `outcome` is "changed", "unchanged", "dry_run" or "refused", with `reason`; then `paths`
        are what it replaced, or would. Raises LedgerUnwritable: nothing was changed.
        """
        ...

    async def remove_policy_data(self, path: Path, reason: str, by: str, dry_run: bool) -> Record:
        """Take live values away: what the revision's own data says there shows again. As `put_policy_data` answers."""
        ...

    async def patch_policy_data(self, operations: Any, reason: str, by: str, dry_run: bool) -> Record:
        """Apply a JSON patch, as a whole or not at all. As `put_policy_data` answers."""
        ...

    def decisions(self, limit: int) -> list[Record]:
        """The newest decisions, newest first."""
        ...

    def verdicts(self, limit: int) -> list[Record]:
        """The newest verdicts, newest first."""
        ...

    def refusals(self, limit: int) -> list[Record]:
        """The newest refusals of the guard, newest first."""
        ...

    def events(self) -> AsyncIterator[Record]:
        """Events as they happen, until the caller stops; a slow caller misses some, and is told how many."""
        ...

    async def import_events(self, data: bytes) -> Record:
        """Take one `EventBatch.to_bytes()` as history: `{"events": accepted, "refused": {reason: number}}`.

        Raises telemetry.InvalidBatch.
        """
        ...

    def metrics(self) -> bytes:
        """Prometheus text exposition."""
        ...

    def healthz(self) -> Record:
        """Told while the process works at all."""
        ...

    def readyz(self) -> tuple[bool, Record]:
        """Whether it can judge, and each part's state."""
        ...
