"""All bouncers that are configured: who one is by its key, and when it is a line."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import structlog

from defense_lines.ledger import Posture
from defense_lines.line import DefenseLine
from defense_lines.lines.crowdsec.addresses import Addresses, Network
from defense_lines.lines.crowdsec.answer import Answer
from defense_lines.lines.crowdsec.asking_line import AskingLine
from defense_lines.lines.crowdsec.connection import Link
from defense_lines.lines.crowdsec.decision import Changes, Decision, Filters, ban
from defense_lines.lines.crowdsec.journal import Change
from defense_lines.lines.crowdsec.stream_line import StreamLine
from policy import BlockPolicy, TargetKind

_LOOK = 0.25  # seconds between two looks at what has ended and who is gone
_ENDED = 2000  # blocks that end in one look, so that nothing else waits for them
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bouncer:
    """What is known of one beforehand."""

    name: str
    key: str = field(repr=False)
    ranges: bool = False  # whether it enforces a range; the Debian bouncer takes of one its first address alone
    hold: float = 25.0  # seconds that a poll may wait for its answer


class Hub(Protocol):
    """Where lines come and go."""

    def attach(self, line: DefenseLine) -> None:
        """A line is there."""

    def detach(self, line: DefenseLine) -> None:
        """It has gone."""


class Bouncers:
    """Each is a line of its own from its first request until `away` seconds after its last, while `run` runs."""

    def __init__(
        self,
        bouncers: Sequence[Bouncer],
        addresses: Addresses,
        hub: Hub,
        posture: Callable[[str], Posture | None],
        *,
        away: float = 60.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Of these there is to be one at a time for the same addresses: it hears of what changes there. `posture` is
        what was last said of a line, as the ledger has it.
        """
        self._keys = [(_digest(bouncer.key.encode()), bouncer) for bouncer in bouncers]
        self._addresses = addresses
        self._hub = hub
        self._posture = posture
        self._away = away
        self._clock = clock
        self._monotonic = monotonic
        self._lines: dict[str, StreamLine | AskingLine] = {}
        self._seen: dict[str, float] = {}  # monotonic seconds of the last request
        self._streams: dict[str, StreamLine] = {}  # of these and of those that are gone: each may come back
        addresses.on_change = self._changed
        addresses.on_posture = self._look

    def of(self, key: bytes) -> Bouncer | None:
        """Who has this key. Takes as long for every key."""
        shown, found = _digest(key), None
        for digest, bouncer in self._keys:
            if hmac.compare_digest(digest, shown):
                found = bouncer
        return found

    async def poll(self, bouncer: Bouncer, link: Link, filters: Filters, startup: bool) -> Changes | Answer | None:
        """The answer to a poll of the stream; None where nobody is there any more to be answered. At `startup` a
        bouncer has nothing, and is told everything. One of which nothing is known may have anything: it is told
        everything too, and each end that is remembered.
        """
        line = self._stream_line(bouncer, startup)
        self._seen[bouncer.name] = self._monotonic()
        try:
            return await line.poll(link, filters, bouncer.hold)
        finally:
            self._seen[bouncer.name] = self._monotonic()

    def ask(self, bouncer: Bouncer, network: Network, exact: bool, filters: Filters) -> list[Decision]:
        """What stands on what contains a network; or, if `exact`, on just this."""
        self._seen[bouncer.name] = self._monotonic()
        if bouncer.name not in self._lines:
            self._attach(AskingLine(bouncer.name, self._clock))
        now = self._clock()
        blocks = self._addresses.at(network) if exact else self._addresses.over(network)
        return [ban(block, now) for block in blocks if block.expires > now and _hears_of(bouncer, block, filters)]

    async def run(self) -> None:
        """Notice what ends and who is gone, until cancelled; then nobody is left."""
        try:
            while True:
                await asyncio.sleep(_LOOK)
                self.look()
        finally:
            for name in [*self._lines]:
                self._detach(name, "the gateway has closed its bouncers' socket")

    def look(self) -> None:
        """Notice what has ended and who is gone by now."""
        self._addresses.end(self._clock(), _ENDED)
        for name, line in [*self._lines.items()]:
            held = isinstance(line, StreamLine) and line.polling
            if not held and self._monotonic() - self._seen[name] > self._away:
                self._detach(name, f"has not asked for {self._away:g} s")

    def _changed(self, change: Change) -> None:
        for line in self._streams.values():
            line.changed(change)

    def _look(self, name: str) -> None:
        if line := self._streams.get(name):
            line.look()

    def _serving(self, name: str) -> bool:
        posture = self._posture(name)
        return posture is None or posture.state == "in_service"

    def _stream_line(self, bouncer: Bouncer, startup: bool) -> StreamLine:
        line = self._lines.get(bouncer.name)
        if isinstance(line, StreamLine) and not startup:
            return line
        if line is not None:
            self._detach(bouncer.name, "the bouncer has started anew")
        stream = self._streams.get(bouncer.name)
        if stream is None or startup:
            stream = self._streams[bouncer.name] = self._made(bouncer, startup)
        stream.open()
        self._attach(stream)
        return stream

    def _made(self, bouncer: Bouncer, startup: bool) -> StreamLine:
        targets: frozenset[TargetKind] = frozenset({"address", "range"} if bouncer.ranges else {"address"})
        journal = self._addresses.journal
        place = journal.last if startup else 0  # all of it: what is forgotten of that is then counted
        serving = partial(self._serving, bouncer.name)
        return StreamLine(bouncer.name, targets, self._addresses, place, serving, self._clock)

    def _attach(self, line: StreamLine | AskingLine) -> None:
        _log.info("bouncer is there", line=line.name)
        self._lines[line.name] = line
        self._hub.attach(line)

    def _detach(self, name: str, why: str) -> None:
        _log.info("bouncer is gone", line=name, why=why)
        line = self._lines.pop(name)
        if isinstance(line, StreamLine):
            line.close(why)
        self._hub.detach(line)


def parsed(text: str) -> Network:
    """An address or a range, as blocks are written: IPv4-mapped IPv6 is IPv4. Raises ValueError."""
    network = ipaddress.ip_network(text, strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")


def _hears_of(bouncer: Bouncer, block: BlockPolicy, filters: Filters) -> bool:
    return (not block.lines or bouncer.name in block.lines) and filters.take(block)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
