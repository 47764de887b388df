"""The posture of devices, as their agents report it: what policy reads as `input.device`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class Devices:
    """The last posture of each device. Reports that are older than what is known change nothing."""

    def __init__(self, claim: str, learnt: Callable[[str, Posture], None] = lambda device, posture: None) -> None:
        """`claim`: the attribute of a principal that names its device. `learnt` hears of each posture that is new."""
        self._claim = claim
        self._learnt = learnt
        self._known: dict[str, Posture] = {}

    def saw(self, batch: EventBatch) -> list[str]:
        """Take the postures out of a batch of events. Returns the devices whose posture is another one now."""
        if POSTURE not in batch.action.values:
            return []
        wanted, changed = batch.action.values.index(POSTURE), list[str]()
        for row in ((batch.action.codes == wanted) & (batch.kind == Kind.ENDPOINT)).nonzero()[0]:
            device = batch.peer.text(row)
            if self.learn(device, Posture(batch.resource.text(row) == _COMPLIANT, float(batch.time[row]))):
                changed.append(device)
        return changed

    def named(self, principal: Principal) -> str:
        """Id of the device that a principal names, known or not; "" for none."""
        device = principal.attributes.get(self._claim)
        return device if isinstance(device, str) else ""

    def of(self, principal: Principal) -> dict[str, Any] | None:
        """`input.device` of a principal; None if it names no device, or one that nobody reported."""
        device = self.named(principal)
        posture = self._known.get(device)
        return {"id": device, "compliant": posture.compliant, "seen": posture.seen} if posture else None

    def all(self) -> Sequence[tuple[str, Posture]]:
        """Every device of which something is known."""
        return tuple(self._known.items())

    def learn(self, device: str, posture: Posture) -> bool:
        """Take what was said of a device; true if it is compliant now and was not, or the other way about."""
        known = self._known.get(device)
        if known is None and len(self._known) >= _MOST:
            _LEFT_OUT.inc()
            return False
        if known is not None and known.seen > posture.seen:
            return False
        self._known[device] = posture
        self._learnt(device, posture)
        return known is None or known.compliant != posture.compliant
