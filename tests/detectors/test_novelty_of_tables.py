"""Tables with labels: what is like nothing normal is found, and so is a kind of attack that training lacked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.models.bag import learn_bag
from detectors.models.clusters import clusters
from detectors.models.columns import Columns, Encoder
from detectors.models.joining import NORMAL, Join
from detectors.models.novelty import learn_novelty
from detectors.models.tabular import TabularModel, learn_table

KINDS = ("flood", "scan", "guess", "dump", "odd")


def table(seed: int, rows: int = 3000, kinds: tuple[str, ...] = KINDS) -> tuple[Columns, NDArray[np.str_]]:
    """Bytes and duration of a service hang together; each kind of attack breaks that in a way of its own."""
    rng = np.random.default_rng(seed)
    which = rng.choice((NORMAL, *kinds), rows, p=[0.6, *[0.4 / len(kinds)] * len(kinds)])
    service = rng.choice(("web", "mail", "file"), rows)
    size = rng.normal(0, 1, rows) + 4 * (service == "file")
    columns: dict[str, NDArray[np.generic]] = {
        "bytes": np.exp(size),
        "seconds": np.exp(0.7 * size + rng.normal(0, 0.2, rows)),
        "failed": rng.binomial(20, 0.02, rows) / 20.0,
        "targets": rng.poisson(2.0, rows).astype(float),
        "service": service,
    }
    bytes_, seconds, failed, targets = (columns[name] for name in ("bytes", "seconds", "failed", "targets"))
    bytes_[which == "flood"] = 0.0
    targets[which == "scan"] += 30
    failed[which == "guess"] = 0.9
    seconds[which == "dump"] *= 30
    service[which == "odd"] = "tftp"
    return columns, which


def where(columns: Columns, rows: NDArray[np.bool_]) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


@pytest.fixture(scope="module")
def model() -> TabularModel:
    columns, kinds = table(1)
    known = kinds != "dump"
    return learn_table(where(columns, known), kinds[known], seed=3)


def test_known_attacks_are_called_and_normal_rows_are_not(model: TabularModel) -> None:
    columns, kinds = table(2)
    called = model.score(columns) >= model.join.threshold
    assert called[kinds == NORMAL].mean() < 0.08
    for kind in ("flood", "scan", "guess", "odd"):
        assert called[kinds == kind].mean() > 0.9


def test_a_kind_that_training_lacked_is_called(model: TabularModel) -> None:
    columns, kinds = table(2)
    assert (model.score(columns) >= model.join.threshold)[kinds == "dump"].mean() > 0.8
    novelty = model.novelty(columns)
    assert np.median(novelty[kinds == "dump"]) > np.quantile(novelty[kinds == NORMAL], 0.95)
    assert (novelty[kinds == NORMAL] > 1).mean() < 0.04


def test_scoring_changes_nothing_and_a_row_is_judged_by_itself(model: TabularModel) -> None:
    columns, _ = table(4, 50)
    first = model.score(columns)
    assert np.array_equal(first, model.score(columns))
    assert ((first >= 0) & (first <= 1)).all()
    alone = np.concatenate(
        [model.score({name: column[row : row + 1] for name, column in columns.items()}) for row in range(50)]
    )
    np.testing.assert_allclose(alone, first, rtol=1e-4, atol=1e-6)  # of 32 bits, summed in another order


def test_the_same_seed_makes_the_same_model() -> None:
    columns, kinds = table(1, 1500)
    one, other = learn_table(columns, kinds, 3), learn_table(columns, kinds, 3)
    assert one.join.threshold == other.join.threshold
    assert np.array_equal(one.score(columns), other.score(columns))


def test_values_never_seen_and_numbers_that_are_none_are_judged(model: TabularModel) -> None:
    columns, _ = table(5, 4)
    odd = {**columns, "service": np.array(["x"] * 4), "bytes": np.array([np.nan, np.inf, -np.inf, 1e300])}
    assert np.isfinite(model.score(odd)).all()
    assert np.isfinite(model.novelty(odd)).all()


def test_one_kind_of_attack_is_enough_and_none_is_refused() -> None:
    columns, kinds = table(6, 800, ("scan",))
    model = learn_table(columns, kinds, 1)
    called = model.score(columns) >= model.join.threshold
    assert called[kinds == "scan"].all()
    assert called[kinds == NORMAL].mean() < 0.1
    normal = kinds == NORMAL
    with pytest.raises(ValueError, match="too few attacks"):
        learn_table(where(columns, normal), kinds[normal], 1)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 8))
@settings(max_examples=30)
def test_equal_rows_share_a_cluster(seed: int, rows: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 3, (rows, 2)).astype(np.float32)
    found = clusters(table, count, rng)
    assert ((found >= 0) & (found < count)).all()
    for row in range(rows):
        assert len(set(found[(table == table[row]).all(axis=1)].tolist())) == 1


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30))
def test_ranks_keep_the_order(values: list[float]) -> None:
    column = np.array(values, np.float32)
    encoder = Encoder.of({"x": column}, np.ones(len(column), np.bool_))
    ranked = encoder.ranked({"x": np.sort(column)})[:, 0]
    assert (np.diff(ranked) >= 0).all()
    assert np.isfinite(ranked).all()


def test_what_breaks_a_bond_between_columns_is_novel() -> None:
    rng = np.random.default_rng(8)
    first = rng.normal(0, 1, 4000).astype(np.float32)
    normal = np.stack([first, first, -first, rng.normal(0, 1, 4000).astype(np.float32)], axis=1)
    novelty = learn_novelty(normal[:3000], np.random.default_rng(1))
    broken = normal[3000:] * np.array([1, -1, 1, 1], np.float32)
    far = np.abs(first[3000:]) > 1
    assert np.median(novelty.score(broken[far])) > np.quantile(novelty.score(normal[3000:]), 0.99)


@given(st.lists(st.tuples(*[st.floats(-9, 9)] * 3), min_size=2, max_size=20))
def test_novelty_cannot_outdo_trees_that_agree(rows: list[tuple[float, ...]]) -> None:
    join = Join(np.zeros(2), np.ones(2), np.array([1.0, 1.0, 0.0]), 0.5)
    scores = np.array(rows)
    chance = join.probability(scores)
    assert ((chance > 0) & (chance < 1)).all()
    assert (join.probability(scores + np.array([1, 0, 0])) > chance).all()  # the surer the trees, the likelier
    assert (join.probability(scores + np.array([0, 0, 1])) >= chance).all()
    known, strange = join.probability(np.array([[4.0, 0.0, 0.0], [-4.0, -4.0, 1e6]]))
    assert known > strange > 0.8


def test_each_ensemble_of_a_bag_reads_whole_columns_of_its_own() -> None:
    columns, kinds = table(7, 600)
    columns = {**columns, **{f"noise{place}": np.arange(600) % (place + 2) for place in range(15)}}
    encoder = Encoder.of(columns, kinds == NORMAL)
    views = encoder.ranked(columns), encoder.plain(columns)
    column = np.array(encoder.column)
    assert all(len(column) == view.shape[1] for view in views)
    bag = learn_bag(views, kinds != NORMAL, np.ones(len(kinds)), encoder.column, 1)
    assert len({tuple(seen.tolist()) for seen in bag.seen}) > 1
    for seen in bag.seen:
        assert 0 < len(set(column[seen].tolist())) < len(columns)
        assert set(np.flatnonzero(np.isin(column, column[seen])).tolist()) == set(seen.tolist())
    sure, margin = bag.scores(views).T
    assert np.abs(sure).max() < 14
    assert np.isfinite(margin).all()
    assert sure[kinds != NORMAL].mean() > 0 > sure[kinds == NORMAL].mean()
