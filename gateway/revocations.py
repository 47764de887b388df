"""Which proofs count no more, though they have not expired: the revocations in force, looked up by what each names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import Gauge

from defense_lines import Revocation
from gateway.identity import names_of
from gateway.marks import UNMARKED, Marks
from policy import Principal

_STANDING = Gauge("portcullis_gateway_revocations_standing", "Revocations that are kept")
_WHENEVER: Final = frozenset({"login", "token", "key"})  # what ends for good: its time does not matter


class RevocationsFull(Exception):
    """No more revocations can be kept: whoever asked for this one is not told that it stands."""


class Revocations:
    """The revocations in force. None is forgotten before its time, but for those that another covers."""

    def __init__(
        self,
        device_claim: str,
        most: int,
        marks: Marks = UNMARKED,
        stands: Callable[[Revocation], None] = lambda revocation: None,
    ) -> None:
        """`device_claim`: the attribute of a principal that names its device; `most`: how many are kept. `stands` hears
        of each that is added.
        """
        self._stands = stands
        self._device_claim = device_claim
        self._most = most
        self._marks = marks
        self._by: dict[tuple[str, str], tuple[Revocation, ...]] = {}
        self._count = 0
        self._soonest = math.inf  # Unix seconds: nothing kept ends before

    def __len__(self) -> int:
        return self._count

    def put(self, revocation: Revocation) -> None:
        """Refuse what it names from now on. Raises RevocationsFull: then it does not stand."""
        key = (revocation.kind, revocation.value)
        held = self._by.get(key, ())
        if any(each.covers(revocation) for each in held):
            return
        left = tuple(each for each in held if not revocation.covers(each))
        if len(left) == len(held) and self._count >= self._most:
            raise RevocationsFull(f"{self._count} revocations are kept, which is as many as there may be")
        self._keep(key, (*left, revocation))
        self._soonest = min(self._soonest, revocation.until)
        self._stands(revocation)
        self._marks.touch(*key)

    def all(self) -> Sequence[Revocation]:
        """Those that are kept."""
        return tuple(revocation for held in self._by.values() for revocation in held)

    def expire(self, now: float) -> None:
        """Forget what has run out by `now` (Unix seconds); `find` ignores it in any case."""
        if now < self._soonest:
            return
        for key, held in tuple(self._by.items()):
            if any(each.until <= now for each in held):
                self._keep(key, tuple(each for each in held if each.until > now))
        self._soonest = min((each.until for held in self._by.values() for each in held), default=math.inf)

    def find(self, principal: Principal, now: float) -> Revocation | None:
        """One that this principal's proof falls under at `now` (Unix seconds), if any. A proof of which nobody knows
        when it was issued falls under all that name it.
        """
        if not self._by:
            return None
        issued = principal.issued or principal.authenticated
        device = principal.attributes.get(self._device_claim)
        for key in names_of(principal, device if isinstance(device, str) else ""):
            for each in self._by.get(key, ()):
                if each.until > now and (issued <= each.before or each.kind in _WHENEVER):
                    return each
        return None

    def _keep(self, key: tuple[str, str], held: tuple[Revocation, ...]) -> None:
        self._count += len(held) - len(self._by.pop(key, ()))
        if held:
            self._by[key] = held
        _STANDING.set(self._count)
