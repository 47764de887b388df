"""What `bench detection` is made of: figures of scores, folds without a common family, and a run on small data."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import detection
from bench.detecting import dga, nsl_kdd
from bench.detecting.scores import auc, calling, over_seeds, tpr_at
from bench.result import CannotRun


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_is_how_often_a_hostile_row_is_above_another(rows: list[tuple[int, bool]]) -> None:
    scores, hostile = np.array([float(score) for score, _ in rows]), np.array([bad for _, bad in rows])
    if hostile.all() or not hostile.any():
        return
    pairs = scores[hostile][:, None] - scores[~hostile][None, :]
    assert auc(scores, hostile) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_tpr_counts_what_is_above_all_but_a_share_of_the_others() -> None:
    scores = np.concatenate([np.arange(100.0), [98.5, 99.5, 50.0]])
    hostile = np.arange(103) >= 100
    assert tpr_at(scores, hostile, 0.01) == pytest.approx(2 / 3)
    assert tpr_at(scores, hostile, 0.0) == pytest.approx(1 / 3)
    assert calling("x", scores > 98, hostile) == {
        "x_accuracy": pytest.approx(101 / 103),
        "x_tpr": pytest.approx(2 / 3),
        "x_fpr": pytest.approx(0.01),
    }


def test_the_interval_is_students() -> None:
    found = over_seeds([{"a": value} for value in (1.0, 2.0, 3.0, 4.0, 5.0)])
    assert found["a"] == 3.0
    assert found["a_high"] - 3.0 == pytest.approx(3.0 - found["a_low"]) == pytest.approx(2.776 * np.sqrt(2.5 / 5))
    assert over_seeds([{"a": 1.0}]) == {"a": 1.0}


def test_without_data_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.detecting.scores.SHARED", tmp_path)
    monkeypatch.setattr(detection, "PARTS", {"dga": (tmp_path / "dga" / "sample.csv", detection.PARTS["dga"][1])})
    with pytest.raises(CannotRun, match=r"dga/sample\.csv"):
        detection.measure(1, ["dga"])


def test_folds_share_no_family() -> None:
    family = np.array([f"f{number % 7}" for number in range(140)] + [dga.PEOPLE] * 60)
    sample = dga.Sample(np.array([f"n{number}.com" for number in range(200)]), family)
    fold = dga._folds(sample, np.random.default_rng(1))
    for name in {*family.tolist()} - {dga.PEOPLE}:
        assert len(set(fold[family == name].tolist())) == 1
    assert set(fold.tolist()) == set(range(dga.FOLDS))
    origins = sample.origins(fold != 0)
    assert sum(len(origin.names) for origin in origins) == (fold != 0).sum()
    assert [origin.made for origin in origins] == [origin.family != dga.PEOPLE for origin in origins]


def write_archive(path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = []
    for number in range(1200):
        kind = ("normal", "neptune", "satan", "smurf", "ipsweep")[number % 5 if number % 2 else 0]
        cells = [f"{rng.normal(kind != 'normal', 0.4):.3f}" for _ in range(41)]
        cells[1:4] = ["tcp", "http", "SF"]
        rows.append(",".join([*cells, kind, "21"]))
    with zipfile.ZipFile(path, "w") as archive:
        for name in (nsl_kdd.TRAIN, *nsl_kdd.TESTS.values()):
            archive.writestr(name, "\n".join(rows) + "\n")


def test_a_small_table_is_measured_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = tmp_path / "NSL_KDD.zip"
    write_archive(archive)
    monkeypatch.setattr(nsl_kdd, "ARCHIVE", archive)
    training, tests = nsl_kdd.parts()
    assert len(training.columns) == 41
    assert "difficulty" not in training.columns
    found = nsl_kdd.measure(1, training, tests)
    assert found["nsl_kdd_accuracy"] > 0.95
    assert found["plain_nsl_kdd_auc"] > 0.95
    assert found["nsl_kdd21_tpr_at_1fpr"] > 0.95
    assert "nsl_kdd_tpr_new_kinds" not in found  # the small test has none
