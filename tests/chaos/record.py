"""What a ledger has on record, read by opening it: that verifies the whole of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from defense_lines import Blocked, Ledger, Lift
from defense_lines.agent.prefix import Prefix, packed

_PAGE = 1_000  # entries


@dataclass(frozen=True, slots=True)
class Ended:
    """A block that was ever on record, and how it ends."""

    id: str
    prefix: Prefix
    expires: float  # Unix seconds
    lifted: bool


async def on_record(folder: Path) -> dict[str, Ended]:
    """Every block, by id. Raises LedgerAltered, OSError."""
    found: dict[str, Ended] = {}
    async with await Ledger.open(folder) as ledger:
        after = 0
        while entries := await ledger.since(after, _PAGE, ("block", "lift")):
            after = entries[-1].seq
            for entry in entries:
                if isinstance(entry.record, Blocked):
                    block = entry.record.policy
                    found[block.id] = Ended(block.id, packed(block.target.value), block.expires, False)
                elif isinstance(entry.record, Lift):
                    found[entry.record.block] = replace(found[entry.record.block], lifted=True)
    return found
