"""What stood, and what ended, before we began to follow the ledger: from the ledger itself."""

from __future__ import annotations

import structlog
from prometheus_client import Counter

from defense_lines.ledger import Blocked, Compacted, Ledger, Restored
from defense_lines.lines.crowdsec.addresses import Addresses
from defense_lines.lines.crowdsec.journal import MOST

REMEMBERED = 86_400.0  # seconds for which the end of a block is remembered
_LOOKED = MOST  # entries that are looked through, so many as the journal holds: seconds in which nobody is let in
_PAGE = 250  # blocks that are taken in one turn of the loop
_LATEST = 100  # entries among which one is looked for that a gateway wrote
_SKIPPED = Counter(
    "portcullis_defense_lines_bouncer_recall_skipped_total", "Entries in which ends of blocks were not looked for"
)
_log = structlog.get_logger()


async def recall(addresses: Addresses, ledger: Ledger, longest: float, now: float, opened: float) -> None:
    """Tell `addresses`, which follow the ledger already, what stands; and what stands no more, but would have until a
    day ago or longer. `longest` is how long a block may stand at most, seconds; `now` is Unix seconds, and so is
    `opened`, when the ledger was opened and before anything was written to it. Raises sqlite3.Error.
    """
    async for blocks in ledger.pages():
        addresses.restore(blocks)
    addresses.seq = max(addresses.seq, ledger.head.seq)
    last = await _last(ledger, opened)
    if last is not None and last < now - REMEMBERED:
        _log.warning("bouncers may go on blocking what ended while we were away", seconds=now - last)
    place = await _before(ledger, now - REMEMBERED - longest)
    if (skipped := ledger.head.seq - _LOOKED - place) > 0:
        _SKIPPED.inc(skipped)
        _log.warning("too much to recall: bouncers may go on blocking what ended before", skipped=skipped)
        place += skipped
    while entries := await ledger.since(place, _PAGE, ("block",)):
        place = entries[-1].seq
        for entry in entries:
            if isinstance(entry.record, Blocked) and entry.record.policy.expires > now - REMEMBERED:
                addresses.gone(entry.record.policy)


async def _last(ledger: Ledger, opened: float) -> float | None:
    """When a gateway last wrote before the ledger was opened (Unix seconds): what is done to a ledger that no gateway
    has open does not count.
    """
    place = await _before(ledger, opened)
    entries = await ledger.since(max(0, place - _LATEST), _LATEST)
    times = [e.time for e in entries if e.seq <= place and not isinstance(e.record, Restored | Compacted)]
    return times[-1] if times else None


async def _before(ledger: Ledger, time: float) -> int:
    """The last entry of a time (Unix seconds), or one before it."""
    low, high = 0, ledger.head.seq
    while low < high:
        found = await ledger.since((low + high) // 2, 1)
        if found and found[0].time <= time:
            low = found[0].seq
        else:
            high = (low + high) // 2
    return low
