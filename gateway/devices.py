"""The posture of devices, as their agents report it: what policy reads as `input.device`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from prometheus_client import Counter

from policy import Principal
from telemetry import EventBatch, Kind

POSTURE: Final = "posture"  # the event of an endpoint report; its target is the posture
_COMPLIANT: Final = "compliant"  # anything else is not
_MOST = 200_000  # devices; a new one beyond that is not taken in, and whoever uses it has no posture
_LEFT_OUT = Counter("portcullis_gateway_devices_left_out_total", "Posture reports of devices beyond the bound")


class Posture(msgspec.Struct, frozen=True, gc=False):
    """What a device's agent said last."""

    compliant: bool
    seen: float  # Unix seconds


Known = tuple[str, Posture]  # a device, and what was said of it


class Devices:
    """The last posture of each device. Reports that are older than what is known change nothing."""

    def __init__(self, claim: str, learnt: Callable[[Sequence[Known]], None] = lambda known: None) -> None:
        """`claim`: the attribute of a principal that names its device. `learnt` hears of the postures that are new."""
        self._claim = claim
        self._learnt = learnt
        self._known: dict[str, Posture] = {}

    def saw(self, batch: EventBatch) -> list[str]:
        """Take the postures out of a batch of events. Returns the devices whose posture is another one now."""
        if POSTURE not in batch.action.values:
            return []
        wanted = batch.action.values.index(POSTURE)
        rows = ((batch.action.codes == wanted) & (batch.kind == Kind.ENDPOINT)).nonzero()[0]
        return self._learn(
            (batch.peer.text(row), Posture(batch.resource.text(row) == _COMPLIANT, float(batch.time[row])))
            for row in rows
        )

    def named(self, principal: Principal) -> str:
        """Id of the device that a principal names, known or not; "" for none."""
        device = principal.attributes.get(self._claim)
        return device if isinstance(device, str) else ""

    def of(self, principal: Principal) -> dict[str, Any] | None:
        """`input.device` of a principal; None if it names no device, or one that nobody reported."""
        device = self.named(principal)
        posture = self._known.get(device)
        return {"id": device, "compliant": posture.compliant, "seen": posture.seen} if posture else None

    def all(self) -> Sequence[Known]:
        """Every device of which something is known."""
        return tuple(self._known.items())

    def learn(self, device: str, posture: Posture) -> bool:
        """Take what was said of a device; true if it is compliant now and was not, or the other way about."""
        return bool(self._learn([(device, posture)]))

    def _learn(self, said: Iterable[Known]) -> list[str]:
        """The devices whose posture is another one now."""
        taken, changed = list[Known](), list[str]()
        for device, posture in said:
            known = self._known.get(device)
            if self._counts(known, posture):
                self._known[device] = posture
                taken.append((device, posture))
                if known is None or known.compliant != posture.compliant:
                    changed.append(device)
        if taken:
            self._learnt(taken)
        return changed

    def _counts(self, known: Posture | None, posture: Posture) -> bool:
        if known is None and len(self._known) >= _MOST:
            _LEFT_OUT.inc()
            return False
        return known is None or known.seen <= posture.seen
