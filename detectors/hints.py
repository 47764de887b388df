"""Scores that are notable and no verdict: which of them are worth a look, so that weak signals add up."""

from __future__ import annotations

import numpy as np

from detectors.detector import Detector, Scores
from detectors.repeats import Repeats
from detectors.stages import NOTABLE

_QUIET = 600.0  # seconds between two looks at one subject
_MOST = 32  # of a detector and a batch, the highest: each is explained


class Hints(Repeats):
    """Bounded memory of the last look at each subject."""

    def __init__(self) -> None:
        super().__init__(quiet=_QUIET)

    def of(self, detector: Detector, scores: Scores, now: float) -> Scores:
        """Subjects to look at now, whose scores are below the threshold and not far."""
        values = scores.values
        near = np.flatnonzero((values >= NOTABLE * detector.threshold) & (values < detector.threshold))
        highest = scores.take(near[np.argsort(-values[near], kind="stable")][:_MOST])
        return highest.take(self.unsaid(detector.name, highest.hashes, highest.values, now))
