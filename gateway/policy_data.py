"""Operators' changes of live policy data: tried, put on record, made. They last until they are removed or the gateway
ends: what is to stay belongs into the policy's own document.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from defense_lines import DataChange, Ledger
from gateway.rejudging import Rejudging
from policy import UNDEFINED, Pdp, encode_json, path_of, pointer_to

Path = tuple[str, ...]
Record = dict[str, Any]

MAX_SHOWN = 10_000  # values in one answer
MAX_DETAIL = 16_000  # characters of one change on record

_MEMBERS = ("op", "path", "from", "value")


class Change(Protocol):
    """A change of the data that can be tried."""

    def __call__(self, *, dry_run: bool) -> Sequence[Path]:
        """What it replaced, or would. Raises ValueError."""
        ...


class PolicyData:
    """Reads what policy sees, and changes it: one change after the other."""

    def __init__(self, pdp: Pdp, ledger: Ledger, rejudging: Rejudging) -> None:
        self._pdp = pdp
        self._ledger = ledger
        self._rejudging = rejudging
        self._changing = asyncio.Lock()

    def read(self, path: Path) -> Record | None:
        """What policy sees at a path, if there is something."""
        try:
            value = self._pdp.data.copy(path, MAX_SHOWN)
        except ValueError as error:
            return {"outcome": "refused", "reason": f"{error}: name a path in it"}
        return None if value is UNDEFINED else {"value": value}

    async def put(self, path: Path, value: Any, reason: str, by: str, dry_run: bool) -> Record:
        """Write a live value. Raises LedgerUnwritable: nothing was changed."""
        change = partial(self._pdp.data.put, path, value)
        return await self._make(change, [{"op": "put", "path": path, "value": value}], reason, by, dry_run)

    async def remove(self, path: Path, reason: str, by: str, dry_run: bool) -> Record:
        """Take live values away. Raises LedgerUnwritable: nothing was changed."""
        change = partial(self._pdp.data.remove, path)
        return await self._make(change, [{"op": "remove", "path": path}], reason, by, dry_run)

    async def patch(self, operations: Any, reason: str, by: str, dry_run: bool) -> Record:
        """Apply a JSON patch. Raises LedgerUnwritable: nothing was changed."""
        return await self._make(partial(self._pdp.data.patch, operations), operations, reason, by, dry_run)

    async def _make(self, change: Change, operations: list[Any], reason: str, by: str, dry_run: bool) -> Record:
        async with self._changing:
            try:
                would = change(dry_run=True)
                self._refuse_rules(would)
                if dry_run or not would:
                    return _outcome("dry_run" if dry_run else "unchanged", would)
                detail = await asyncio.to_thread(_detail, operations)
                await self._ledger.append(DataChange(detail=detail, by=f"analyst:{by}", reason=reason))
                replaced = change(dry_run=False)
            except ValueError as error:
                return {"outcome": "refused", "reason": str(error)}
        before = self._rejudging.ended
        for path in replaced:
            self._rejudging.data(("data", *path))
        return _outcome("changed", replaced) | {"sessions_ended": await self._rejudging.settled() - before}

    def _refuse_rules(self, paths: Sequence[Path]) -> None:
        """Where a rule is, nobody would see data, and a real OPA takes none."""
        for rule in self._pdp.rules:
            if any(path[: len(rule)] == rule[: len(path)] for path in paths):
                raise ValueError(f"the policy has a rule at {pointer_to(rule)}: data cannot lie there, above or below")


def _outcome(outcome: str, paths: Sequence[Path]) -> Record:
    return {"outcome": outcome, "paths": [pointer_to(path) for path in paths]}


def _detail(operations: list[dict[str, Any]]) -> str:
    """What was ordered, an operation a line; identifiers stand alone in quotes, so that they can be concealed."""
    lines, left = [], MAX_DETAIL
    for number, operation in enumerate(operations):
        line = encode_json({name: _steps(name, value) for name, value in operation.items() if name in _MEMBERS})
        left -= len(line) + 1
        if left < 0:
            lines.append(f"and {len(operations) - number} more, from: {line[:1000]}")
            break
        lines.append(line)
    return "\n".join(lines)


def _steps(member: str, value: Any) -> Any:
    """A pointer as an array of its steps."""
    if member not in ("path", "from"):
        return value
    return list(path_of(value) if isinstance(value, str) else value)
