"""Lifting many blocks with one order: all of a cause, of an author, of a time, or of a range."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from defense_lines import Hub, Ledger, LedgerUnwritable, span
from gateway.blocking import Blocking
from policy import BlockPolicy

_AT_ONCE = 1_000  # waiting for the disk together
_NAMED = 100  # blocks that an answer names


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Blocks that have all of this in common; what is left out does not matter."""

    cause: str = ""  # a verdict's id, or a technique
    detector: str = ""  # by name: "access"
    author: str = ""  # as blocks show it: "analyst:jo as root"
    within: str = ""  # a range, for blocks of addresses and ranges that lie in it
    since: float = 0.0  # Unix seconds; made then or later
    until: float | None = None  # made before

    @property
    def everything(self) -> bool:
        """Whether it leaves nothing out."""
        return self == Selection()

    def holds(self, block: BlockPolicy) -> bool:
        """Whether a block is meant. Raises ValueError where `within` is no range."""
        cause = block.cause
        return (
            self.since <= block.created
            and (self.until is None or block.created < self.until)
            and self.cause in ("", cause.verdict, cause.technique)
            and (not self.detector or cause.by == f"detector:{self.detector}")
            and self.author in ("", cause.by)
            and (not self.within or _lies_in(block, self.within))
        )


class Lifting:
    """Ends what a selection holds, canaries too; what waits for a second person is not in force and waits on."""

    def __init__(self, ledger: Ledger, hub: Hub, blocking: Blocking) -> None:
        self._ledger = ledger
        self._hub = hub
        self._blocking = blocking

    async def lift(self, selection: Selection, by: str, reason: str, dry_run: bool) -> dict[str, Any]:
        """How many blocks were lifted, and the first of them. Raises LedgerUnwritable, saying how many were: the same
        order may be given again.
        """
        found = await self._found(selection)
        if not dry_run:
            await self._lift_all(found, by, reason)
        outcome = "dry_run" if dry_run else "lifted"
        return {"outcome": outcome, "blocks": len(found), "ids": [block.id for block in found[:_NAMED]]}

    async def _found(self, selection: Selection) -> list[BlockPolicy]:
        """What the edge enforces without an entry goes first: it can be lifted though nothing can be written."""
        unwritten = [permit.block for permit in self._hub.unwritten().values()]
        found = {block.id: block for block in unwritten if selection.holds(block)}
        async for page in self._ledger.pages():
            found |= {block.id: block for block in page if selection.holds(block)}
        return list(found.values())

    async def _lift_all(self, blocks: list[BlockPolicy], by: str, reason: str) -> None:
        for start in range(0, len(blocks), _AT_ONCE):
            lifts = (self._blocking.lift(block.id, by, reason) for block in blocks[start : start + _AT_ONCE])
            answers = await asyncio.gather(*lifts, return_exceptions=True)
            fault = next((answer for answer in answers if isinstance(answer, BaseException)), None)
            if isinstance(fault, LedgerUnwritable):
                raise LedgerUnwritable(f"{start} of {len(blocks)} blocks and some more were lifted: {fault}")
            if fault is not None:
                raise fault


def _lies_in(block: BlockPolicy, network: str) -> bool:
    if block.target.kind not in ("address", "range"):
        return False
    around, own = span(network), span(block.target.value)
    return around.first <= own.first and own.last <= around.last
