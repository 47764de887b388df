"""Turns each change of the gateway's state into the operation that makes the same change in a judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from defense_lines import Revocation
from gateway.agents import Agent
from gateway.devices import Posture
from gateway.identity import KeySet
from gateway.identity.spiffe import Bundle
from gateway.sessions import Cut
from gateway.transactions import KeyRing
from gateway.workers.operation import (
    AgentsStand,
    CutsKept,
    DataPatched,
    DataPut,
    DataRemoved,
    Enforced,
    IssuerKeys,
    KeptCut,
    Lifted,
    Operation,
    PosturesLearnt,
    Revoked,
    Ring,
    Trusted,
)
from gateway.workers.wire import bundle_out, bundles_out, keys_out, ring_out
from policy import BlockPolicy, encode_json

_CUTS: Final = 500  # in one operation


class Journal:
    """What those hold who change state (`gateway.blocklist.Changes` and `policy.Journal` among its faces)."""

    def __init__(
        self,
        publish: Callable[[Operation], None],
        unable: Callable[[str], None],
        later: Callable[[Callable[[], None]], object],
    ) -> None:
        """`unable`: a change cannot be told, and why. `later` begins the next turn of the loop."""
        self._publish = publish
        self._unable = unable
        self._later = later
        self._cuts: list[tuple[tuple[bytes | str, ...], float, Cut]] = []

    def enforced(self, blocks: Sequence[BlockPolicy]) -> None:
        """These are refused from now on."""
        self._tell(lambda: Enforced(tuple(blocks)))

    def lifted(self, block_ids: Sequence[str]) -> None:
        """These are refused no more."""
        self._tell(lambda: Lifted(tuple(block_ids)))

    def revoked(self, revocation: Revocation) -> None:
        """It stands."""
        self._tell(lambda: Revoked((revocation,)))

    def agent(self, agent: Agent) -> None:
        """It is registered so."""
        self._tell(lambda: AgentsStand((agent,)))

    def postures(self, known: Sequence[tuple[str, Posture]]) -> None:
        """Devices were reported."""
        self._tell(lambda: PosturesLearnt(tuple(known)))

    def cut(self, names: tuple[bytes | str, ...], until: float, cut: Cut) -> None:
        """Callers are told of a cut. It lets nobody in and keeps nobody out, so streams do not wait for it to be told:
        thousands may end in one turn.
        """
        self._cuts.append((names, until, cut))
        if len(self._cuts) == 1:
            self._later(self._tell_cuts)

    def keys(self, issuer: str, keys: KeySet) -> None:
        """An issuer's keys are others now."""
        self._tell(lambda: IssuerKeys(issuer, keys_out(keys.all), keys.missing))

    def trusted(self, bundles: Mapping[str, Bundle], vouching: Sequence[Bundle] | None) -> None:
        """Certificates stand on other authorities now."""
        self._tell(lambda: trusted(bundles, vouching))

    def ring(self, ring: KeyRing) -> None:
        """Transaction tokens are signed by other keys now."""
        self._tell(lambda: Ring(ring_out(ring)))

    def put(self, path: Sequence[str], value: Any) -> None:
        """Live data was written."""
        self._tell(lambda: DataPut(tuple(path), encode_json(value)))

    def removed(self, path: Sequence[str]) -> None:
        """Live data was taken away."""
        self._tell(lambda: DataRemoved(tuple(path)))

    def patched(self, operations: Any) -> None:
        """Live data was patched."""
        self._tell(lambda: DataPatched(encode_json(operations)))

    def _tell_cuts(self) -> None:
        told, self._cuts = self._cuts[:_CUTS], self._cuts[_CUTS:]
        self._tell(lambda: CutsKept(tuple(kept(*each) for each in told)))
        if self._cuts:
            self._later(self._tell_cuts)

    def _tell(self, make: Callable[[], Operation]) -> None:
        try:
            operation = make()
        except (ValueError, TypeError) as error:
            self._unable(str(error))
        else:
            self._publish(operation)


class Untold(Journal):
    """There are no judges beside the gateway: nothing is told, nor made to be told."""

    def __init__(self) -> None:
        super().__init__(_nothing, _nothing, _nothing)

    def cut(self, names: tuple[bytes | str, ...], until: float, cut: Cut) -> None:
        """Nobody asks."""

    def _tell(self, make: Callable[[], Operation]) -> None:
        pass


def _nothing(told: object) -> None:
    pass


def trusted(bundles: Mapping[str, Bundle], vouching: Sequence[Bundle] | None) -> Trusted:
    """What certificates stand on, as an operation."""
    vouch = None if vouching is None else {str(number): bundle_out(one) for number, one in enumerate(vouching)}
    return Trusted(bundles_out(bundles), vouch)


def kept(names: Iterable[bytes | str], until: float, cut: Cut) -> KeptCut:
    """A cut that callers are told of, as it is told to judges."""
    listed = tuple(names)
    digests = tuple(name for name in listed if isinstance(name, bytes))
    return KeptCut(digests, tuple(name for name in listed if isinstance(name, str)), until, cut)
