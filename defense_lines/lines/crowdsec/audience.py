"""What one bouncer is to hear of, and in what words."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from defense_lines.lines.crowdsec.addresses import Addresses
from defense_lines.lines.crowdsec.decision import Decision, Filters, ban, no_more
from defense_lines.lines.crowdsec.journal import Change
from policy import BlockPolicy, Target, TargetKind


@dataclass(frozen=True, slots=True)
class Audience:
    """One bouncer, with the filters of its last poll."""

    name: str
    targets: frozenset[TargetKind]
    filters: Filters

    def concerns(self, change: Change) -> bool:
        """Whether it may have to be told of a change."""
        return change.target.kind in self.targets and (not change.lines or self.name in change.lines)

    def hears_of(self, block: BlockPolicy) -> bool:
        """Whether a block is for it."""
        meant = block.target.kind in self.targets and (not block.lines or self.name in block.lines)
        return meant and self.filters.take(block)


class Telling:
    """The decisions of one answer: asked for one after another, each says what stands at that moment, and no target
    comes twice.
    """

    def __init__(self, audience: Audience, addresses: Addresses, clock: Callable[[], float]) -> None:
        self._audience = audience
        self._addresses = addresses
        self._clock = clock
        self._cleared = set[Target]()
        self._told = set[Target]()

    def deleted(self, change: Change) -> Decision | None:
        """What has to be taken away because of a change."""
        if not change.clear or change.target in self._cleared or not self._audience.concerns(change):
            return None
        self._cleared.add(change.target)
        return no_more(change.target)

    def new(self, change: Change) -> Decision | None:
        """What stands at last where something has changed."""
        if change.target in self._told or not self._audience.concerns(change):
            return None
        self._told.add(change.target)
        block = self._longest(change.target)
        return ban(block, self._clock()) if block else None

    def standing(self, block: BlockPolicy) -> Decision | None:
        """A block, where it stands and none that stands there lives longer."""
        heard = self._audience.hears_of(block) and self._longest(block.target) is block
        return ban(block, self._clock()) if heard else None

    def _longest(self, target: Target) -> BlockPolicy | None:
        now, blocks = self._clock(), self._addresses.at(ipaddress.ip_network(target.value))
        standing = (block for block in blocks if block.expires > now and self._audience.hears_of(block))
        return max(standing, key=lambda block: block.expires, default=None)
