"""NSL-KDD (Tavallaee et al. 2009) by its official split: 17 kinds of attack occur in the test part alone.

The last column, how hard a row is, was made from the labels and is dropped. The peer is XGBoost as it comes, told
nothing but normal or not, that calls hostile from a probability of one half.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xgboost
from numpy.typing import NDArray

from bench.detecting.scores import SHARED, Figures, calling, ranking
from detectors.models import NORMAL, Columns, Encoder, learn_table, margins

ARCHIVE = SHARED / "nsl-kdd" / "NSL_KDD.zip"
TRAIN, TESTS = "KDDTrain+.txt", {"nsl_kdd": "KDDTest+.txt", "nsl_kdd21": "KDDTest-21.txt"}
_TEXTS = (1, 2, 3)  # protocol, service, flag
_KIND = 41  # the column of the label


@dataclass(frozen=True, slots=True)
class Table:
    """One part: its columns, and what each row is."""

    columns: Columns
    kinds: NDArray[np.str_]

    @property
    def hostile(self) -> NDArray[np.bool_]:
        """Which rows are attacks."""
        hostile: NDArray[np.bool_] = self.kinds != NORMAL
        return hostile


def read(part: str) -> Table:
    """A part of the archive."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        (name,) = (name for name in archive.namelist() if name.rpartition("/")[2] == part)
        cells = np.array([row.split(",") for row in archive.read(name).decode().split()])
    columns = {
        f"c{place:02}": cells[:, place] if place in _TEXTS else cells[:, place].astype(np.float32)
        for place in range(_KIND)
    }
    return Table(columns, cells[:, _KIND])


def measure(seed: int, training: Table, tests: dict[str, Table]) -> Figures:
    """Ours and the peer, trained on the one and scored on the others."""
    return _ours(seed, training, tests) | _plain(seed, training, tests)


def parts() -> tuple[Table, dict[str, Table]]:
    """Training part and test parts."""
    return read(TRAIN), {name: read(part) for name, part in TESTS.items()}


def new_kinds(training: Table, test: Table) -> Sequence[str]:
    """Kinds of attack that only the test has."""
    return sorted(set(test.kinds.tolist()) - set(training.kinds.tolist()))


def _ours(seed: int, training: Table, tests: dict[str, Table]) -> Figures:
    began = time.perf_counter()
    model = learn_table(training.columns, training.kinds, seed)
    found = {"nsl_kdd_train_seconds": time.perf_counter() - began}
    for name, test in tests.items():
        began = time.perf_counter()
        scores = model.score(test.columns)
        found[f"{name}_scored_per_s"] = len(scores) / (time.perf_counter() - began)
        found |= ranking(name, scores, test.hostile) | calling(name, scores >= model.join.threshold, test.hostile)
        new = np.isin(test.kinds, new_kinds(training, test))
        if new.any():
            found[f"{name}_tpr_new_kinds"] = float((scores[new] >= model.join.threshold).mean())
        found |= ranking(f"{name}_novelty", model.novelty(test.columns), test.hostile)
    return found


def _plain(seed: int, training: Table, tests: dict[str, Table]) -> Figures:
    began = time.perf_counter()
    encoder = Encoder.of(training.columns, ~training.hostile)
    rows = xgboost.QuantileDMatrix(encoder.plain(training.columns), training.hostile, nthread=1)
    booster = xgboost.train({"objective": "binary:logistic", "seed": seed, "subsample": 0.9, "nthread": 1}, rows, 100)
    found = {"plain_nsl_kdd_train_seconds": time.perf_counter() - began}
    for name, test in tests.items():
        scores = margins(booster, encoder.plain(test.columns))
        found |= ranking(f"plain_{name}", scores, test.hostile) | calling(f"plain_{name}", scores >= 0, test.hostile)
    return found
