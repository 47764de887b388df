"""The whole state, as the operations that make it out of nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeVar

from gateway.agents import Registry
from gateway.blocklist import Blocklist
from gateway.devices import Devices
from gateway.identity import Identifier
from gateway.revocations import Revocations
from gateway.sessions import RecentCuts
from gateway.transactions import Minter
from gateway.workers.journal import kept, trusted
from gateway.workers.operation import (
    AgentsStand,
    CutsKept,
    DataLive,
    Enforced,
    IssuerKeys,
    Operation,
    PosturesLearnt,
    Revoked,
    Ring,
)
from gateway.workers.wire import keys_out, ring_out
from policy import UNDEFINED, Pdp, encode_json

T = TypeVar("T")
_SLICE: Final = 500  # items in an operation: many are told in little time, and no turn of the loop takes long


@dataclass(frozen=True, slots=True)
class State:
    """Where the gateway's state lies that judges have a replica of."""

    blocklist: Blocklist
    revocations: Revocations
    agents: Registry
    devices: Devices
    recent: RecentCuts
    identifier: Identifier
    minter: Minter
    pdp: Pdp

    def told(self) -> Iterator[Operation]:
        """The state at this moment, whatever changes while the operations are taken. Raises ValueError."""
        keys, bundles, ring = self.identifier.all_keys(), self.identifier.trusted, self.minter.ring
        made: Iterator[Operation] = chain(
            map(Enforced, _slices(self.blocklist.blocks())),
            map(Revoked, _slices(self.revocations.all())),
            map(AgentsStand, _slices(self.agents.all())),
            map(PosturesLearnt, _slices(self.devices.all())),
            (CutsKept(tuple(kept((n,), until, cut) for n, until, cut in each)) for each in _slices(self.recent.all())),
            (IssuerKeys(name, keys_out(known.all), known.missing) for name, known in keys.items()),
            (trusted(*each) for each in (bundles,) if each is not None),
            (Ring(ring_out(ring)),),
        )
        return chain((_live(self.pdp),), made)


def _slices(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    return (tuple(items[begins : begins + _SLICE]) for begins in range(0, len(items), _SLICE))


def _live(pdp: Pdp) -> DataLive:
    """Encoded now: live data changes in place."""
    live = pdp.data.live()
    return DataLive(
        tuple((path, None if value is UNDEFINED else encode_json(value), kept) for path, value, kept in live)
    )
