"""A model that follows its shelf: what is promoted is loaded beside it, and taken up between two batches."""

from __future__ import annotations

from collections import deque

import structlog
from prometheus_client import Counter, Gauge

from detectors.arrays import Device
from detectors.models.card import Schema
from detectors.models.model import Model
from detectors.models.refused import ModelRefused
from detectors.models.shelf import Shelf

REFUSED = Counter("portcullis_detectors_models_refused_total", "Promoted models not taken up: refused", ["schema"])
IN_FORCE = Gauge("portcullis_detectors_model_info", "The revision that judges", ["schema", "revision"])
_log = structlog.get_logger()


class Following:
    """`look` from any one thread, as often as one likes; `turn` from the thread that uses `model`, between two uses.

    Raises ModelRefused if what is in force at the start may not be used. Later such a one is told of, counted, and the
    model that judges goes on judging.
    """

    def __init__(self, shelf: Shelf, schema: Schema, device: Device = "cpu") -> None:
        self._shelf, self._schema, self._device = shelf, schema, device
        self._stamp = shelf.stamp(schema.name)  # before the model: what is promoted meanwhile is seen by the next look
        self._next = deque[Model](maxlen=1)
        self.model = shelf.in_force(schema, device)
        self._tell(self.model, 1)

    def look(self) -> None:
        """Load what was put in force since the last look. Takes a stat where nothing was."""
        stamp = self._shelf.stamp(self._schema.name)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._next.append(self._shelf.in_force(self._schema, self._device))
        except ModelRefused as refused:
            REFUSED.labels(self._schema.name).inc()
            _log.error("model_refused", why=str(refused), answer=f"{self.model.card.revision} goes on judging")

    def turn(self) -> bool:
        """Take up what was loaded. Whether there was anything."""
        if not self._next:
            return False
        following = self._next.pop()
        before = self.model.card.revision
        self._tell(self.model, 0)
        self.model = following
        self._tell(self.model, 1)
        _log.info("model_taken_up", revision=self.model.card.revision, before=before)
        return True

    def _tell(self, model: Model, judges: int) -> None:
        IN_FORCE.labels(self._schema.name, model.card.revision).set(judges)
