"""Hostile model folders: whatever lies there is a model that fits its card, or is refused by name."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.models import Card, Model, ModelRefused, Schema, load
from detectors.models.card import Calibration, Evaluation, Lineage

SCHEMA = Schema("access", 1, ("a", "b"))
COUNTS = Evaluation(
    attackers=1,
    caught=1,
    honest=1,
    accused=0,
    events_until_caught=1.0,
    events_until_caught_p95=1.0,
    seconds_until_caught=1.0,
    seconds_until_caught_p95=1.0,
)


@pytest.fixture(scope="module")
def model() -> bytes:
    """A small ensemble over two features."""
    xgboost = pytest.importorskip("xgboost", reason="needs xgboost")
    rows = xgboost.DMatrix(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.0, 1.0]))
    trained = xgboost.train({"nthread": 1, "objective": "binary:logistic", "min_child_weight": 0}, rows, 2)
    return bytes(trained.save_raw("ubj"))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def card(model: bytes, **changes: Any) -> bytes:
    """A card that fits, sealed."""
    unsealed = Card(
        schema=SCHEMA,
        sha256=hashlib.sha256(model).hexdigest(),
        threshold=0.5,
        calibration=Calibration(1.0, 0.0),
        lineage=Lineage(seed=1, simulator="1", xgboost="3", parameters={}, rows=2),
        validation=COUNTS,
        test=COUNTS,
    )
    unsealed = msgspec.structs.replace(unsealed, **changes)
    return msgspec.json.encode(msgspec.structs.replace(unsealed, revision=unsealed.seal()))


def loaded(folder: Path, card: bytes, model: bytes) -> Model | None:
    (folder / "card.json").write_bytes(card)
    (folder / "model.ubj").write_bytes(model)
    try:
        return load(folder, SCHEMA)
    except ModelRefused:
        return None


def test_a_model_that_fits_is_loaded(folder: Path, model: bytes) -> None:
    assert loaded(folder, card(model), model)


@given(data=st.binary(max_size=200))
@example(data=b'{"schema":"\xff"}')
@example(data=b'{"more":' + b"[" * 100_000)
@example(data=b'{"threshold":1e999}')
@example(data=b'{"threshold":' + b"9" * 5000 + b"}")
def test_any_bytes(folder: Path, model: bytes, data: bytes) -> None:
    """Any bytes in place of a card are refused, and so is any card beside any other bytes than its model's."""
    assert loaded(folder, data, model) is None
    assert loaded(folder, card(model), data) is None


@given(at=st.integers(0, 2000), damage=st.binary(min_size=1, max_size=8), removed=st.integers(0, 8))
def test_a_good_card_damaged(folder: Path, model: bytes, at: int, damage: bytes, removed: int) -> None:
    """Damage is refused, unless the card still says what it said."""
    good, at = card(model), at % len(card(model))
    told = loaded(folder, good[:at] + damage + good[at + removed :], model)
    assert told is None or told.card == msgspec.json.decode(good, type=Card)


@settings(max_examples=40)
@given(
    name=st.sampled_from(["schema", "sha256", "threshold", "calibration", "test", "lineage", "revision"]),
    data=st.data(),
)
def test_any_part_of_a_card_replaced(folder: Path, model: bytes, name: str, data: st.DataObject) -> None:
    """The seal covers every part."""
    document = json.loads(card(model))
    value: Any = data.draw(st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.just({}) | st.just([]))
    if value != document[name]:
        assert loaded(folder, json.dumps(document | {name: value}).encode(), model) is None


def test_a_sealed_card_over_what_is_no_model(folder: Path) -> None:
    """A seal is no signature: whoever may write the folder can make one, and the bytes under it are refused by name."""
    for model in (b"{", b"{}", b"{L\0\0\0\0\0\0\0\x07learner", b"\0" * 100, b"not a model"):
        assert loaded(folder, card(model), model) is None


def test_a_model_of_other_features_is_refused(folder: Path) -> None:
    """The card may say what it likes: the model must take the features of the schema."""
    xgboost = pytest.importorskip("xgboost", reason="needs xgboost")
    rows = xgboost.DMatrix(np.eye(3), np.array([0.0, 1.0, 0.0]))
    other = bytes(xgboost.train({"nthread": 1, "objective": "binary:logistic"}, rows, 1).save_raw("ubj"))
    assert loaded(folder, card(other), other) is None
