"""The host's own firewall: prefixes are dropped by the kernel, in one nftables table, each until its timeout.

If the agent dies, what stands goes on standing and ends on time; what the agent finds there it knows by the ids that
elements have as their comments.
"""

from __future__ import annotations

import errno
import math
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from defense_lines.agent import conntrack
from defense_lines.agent.actuation import Listing, Until, since_boot
from defense_lines.agent.capabilities import Capability, require
from defense_lines.agent.elements import elements
from defense_lines.agent.libnftables import Nftables, NftError
from defense_lines.agent.prefix import Prefix, address, network
from defense_lines.agent.ruleset import MAX_TIMEOUT, TICKS, Change, Length, Ruleset, Standing, read, set_name

_MANY: Final = 2_000  # prefixes in one transaction
_FEW: Final = 250  # those that fit the send buffer of a root of a namespace
_FORGET: Final = 1_000  # batches whose connections are still to be forgotten; beyond it they are left to time out
_PAUSE: Final = 0.1  # seconds between walks: each takes 10 ms of a processor, which orders want too
_OURS: Final = re.compile(rb"b-[0-9a-f]{16}")

_log = structlog.get_logger()
_kernel = Histogram("portcullis_defense_lines_agent_transaction_seconds", "One transaction with the kernel")
_reframed = Counter("portcullis_defense_lines_agent_reframed_total", "Times that our table was damaged, and repaired")
_forgotten = Counter("portcullis_defense_lines_agent_connections_forgotten_total", "Tracked connections deleted")
_unforgotten = Counter("portcullis_defense_lines_agent_connections_kept_total", "Batches whose connections stayed")


class Kernel:
    """One nftables table; see Firewall. Acts in the network namespace of the thread that calls."""

    waits = True

    def __init__(self, table: str, boottime: Callable[[], float] = since_boot) -> None:
        """Raises NftablesUnavailable, or ValueError for a name that cannot be a table's."""
        self._table = table
        self._ruleset = Ruleset(table, book=False)
        self._writer = Nftables()
        self._reader = Nftables(terse=True)
        self._boottime = boottime
        self._lengths: set[Length] = set()
        self._forget: queue.Queue[Sequence[Prefix]] = queue.Queue(_FORGET)

    def start(self) -> None:
        """See Firewall."""
        require(Capability.NET_ADMIN)
        self._lengths = set(self._standing().sets)
        self._writer.run(self._ruleset.frame(self._lengths))
        threading.Thread(target=self._forget_connections, name="conntrack", daemon=True).start()

    def change(self, changes: Mapping[Prefix, Until | None], fresh: bool = False) -> Mapping[Prefix, str]:
        """See Firewall."""
        failed: dict[Prefix, str] = {}
        self._lengths |= {_length(prefix) for prefix in changes}
        left = iter(changes.items())
        while part := dict(islice(left, _MANY)):
            failed |= self._change(part, fresh)
            self._forget_later([prefix for prefix, until in part.items() if until and prefix not in failed])
        return failed

    def listing(self) -> Listing:
        """See Firewall. A table whose rules or sets were damaged is put right first."""
        standing = self._standing()
        if not self._stands(standing):
            _reframed.inc()
            _log.error("table was damaged: stated again", table=self._table)
            self._reader.run(self._ruleset.frame(self._lengths))
        ends: dict[Prefix, float] = {}
        foreign = sum(self._listed(length, ends) for length in sorted(self._lengths | standing.sets))
        return Listing(ends, foreign)

    def remove(self) -> None:
        """Take the whole table away. Raises NftError."""
        self._writer.run(self._ruleset.deletion())
        self._lengths = set()

    def close(self) -> None:
        """See Firewall."""
        self._put_to_forget(())
        self._writer.close()
        self._reader.close()

    def _change(self, changes: Mapping[Prefix, Until | None], fresh: bool) -> Mapping[Prefix, str]:
        """One transaction, all of it or nothing; if it fails and is large, several."""
        now = self._boottime()
        written = self._ruleset.write((_change(prefix, until, now) for prefix, until in changes.items()), fresh)
        try:
            with _kernel.time():
                self._writer.run(self._ruleset.frame(self._lengths) + written)
        except NftError as error:
            if len(changes) <= _FEW:
                return dict.fromkeys(changes, str(error))
            left, failed = iter(changes.items()), dict[Prefix, str]()
            while part := dict(islice(left, _FEW)):
                failed |= self._change(part, fresh)
            return failed
        return {}

    def _standing(self) -> Standing:
        # A listing of all tables is the one for which libnftables does not ask the kernel for any element.
        return read(self._ruleset.of_table(self._reader.run(["list ruleset"])))

    def _stands(self, standing: Standing) -> bool:
        return self._lengths <= standing.sets and all(
            rule in standing.rules for length in self._lengths for rule in self._ruleset.rules(length)
        )

    def _listed(self, length: Length, ends: dict[Prefix, float]) -> int:
        """Fill in what is blocked of one length; how many elements are not ours."""
        tail, now, foreign = bytes((length[1],)), self._boottime(), 0
        try:
            for number, (key, left, comment) in enumerate(elements(self._table, set_name(length))):
                now = now if number % _FEW else self._boottime()
                if left is not None and _OURS.fullmatch(comment):
                    ends[key + tail] = now + left
                else:
                    foreign += 1
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise NftError(f"listing {set_name(length)}: {error.strerror}") from error
        return foreign

    def _forget_later(self, prefixes: Sequence[Prefix]) -> None:
        if prefixes:
            self._put_to_forget(prefixes)

    def _put_to_forget(self, prefixes: Sequence[Prefix]) -> None:
        try:
            self._forget.put_nowait(prefixes)
        except queue.Full:
            _unforgotten.inc()

    def _forget_connections(self) -> None:
        """Delete the tracked connections of what was blocked, until told nothing: one walk for all that waits."""
        warned = False
        for prefixes in iter(self._all_to_forget, []):
            try:
                _forgotten.inc(conntrack.forget([network(prefix) for prefix in prefixes]))
            except OSError as error:
                _unforgotten.inc()
                if not warned:
                    _log.warning("tracked connections of blocked sources stay", error=str(error))
                warned = True
            time.sleep(_PAUSE)

    def _all_to_forget(self) -> list[Prefix]:
        prefixes = list(self._forget.get())
        while prefixes and not self._forget.empty():
            more = self._forget.get()
            if not more:
                self._forget.put(())
                break
            prefixes += more
        return prefixes


def _change(prefix: Prefix, until: Until | None, now: float) -> Change:
    name, value = set_name(_length(prefix)), address(prefix)
    if until is None:
        return Change(name, value)
    milliseconds = min(MAX_TIMEOUT, max(1, math.ceil((until.end - now) * 1000)) + TICKS)
    return Change(name, value, milliseconds, until.block_id)


def _length(prefix: Prefix) -> Length:
    return (4 if len(prefix) == 5 else 6), prefix[-1]
