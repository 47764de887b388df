"""Models: sealed, refused by name, reproducible, good on traffic they never saw."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from detectors import ModelRefused, held_out, train_all, train_flow
from detectors.models import ACCESS, FLOW, Schema, calibration, load
from detectors.models.model import CARD, MODEL


@pytest.fixture
def copy(models: Path, tmp_path: Path) -> Path:
    return shutil.copytree(models / "flow", tmp_path / "flow")


def test_a_model_with_one_bit_turned_is_refused(copy: Path) -> None:
    body = bytearray((copy / MODEL).read_bytes())
    body[len(body) // 2] ^= 1
    (copy / MODEL).write_bytes(body)
    with pytest.raises(ModelRefused, match=rf"{MODEL}: altered"):
        load(copy, FLOW)


def test_a_card_with_another_threshold_is_refused(copy: Path) -> None:
    card = msgspec.json.decode((copy / CARD).read_bytes())
    (copy / CARD).write_bytes(msgspec.json.encode(card | {"threshold": 1.0}))
    with pytest.raises(ModelRefused, match=rf"{CARD}: altered"):
        load(copy, FLOW)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[1]"])
def test_a_card_that_is_none_is_refused(copy: Path, body: bytes) -> None:
    (copy / CARD).write_bytes(body)
    with pytest.raises(ModelRefused, match="not a model card"):
        load(copy, FLOW)


def test_a_model_of_another_schema_is_refused(copy: Path) -> None:
    with pytest.raises(ModelRefused, match="another schema"):
        load(copy, ACCESS)
    with pytest.raises(ModelRefused, match="another schema"):
        load(copy, msgspec.structs.replace(FLOW, version=FLOW.version + 1))


@pytest.mark.parametrize("missing", [MODEL, CARD])
def test_a_missing_part_is_refused(copy: Path, missing: str) -> None:
    (copy / missing).unlink()
    with pytest.raises(ModelRefused, match=missing):
        load(copy, FLOW)


def test_what_is_there_and_intact_is_kept(models: Path) -> None:
    told: list[tuple[str, float]] = []
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*.*")}
    train_all(models, 1, lambda what, share: told.append((what, share)))
    assert before == {path: path.stat().st_mtime_ns for path in models.rglob("*.*")}
    assert told == [("access: ready", 0.5), ("flow: ready", 1.0)]


def test_the_same_seed_makes_the_same_model(models: Path) -> None:
    shares: list[float] = []
    again = train_flow(1, lambda _, share: shares.append(share))
    assert again.card == load(models / "flow", FLOW).card
    assert shares == sorted(shares)


@pytest.mark.parametrize("schema", [ACCESS, FLOW], ids=["access", "flow"])
def test_friend_is_told_from_foe_on_traffic_never_seen(models: Path, schema: Schema) -> None:
    model = load(models / schema.name, schema)
    result = held_out(model, 77)
    assert result.true_positive_rate >= 0.98
    assert result.false_positive_rate <= 0.005
    assert result.events_until_caught <= 12


def test_calibrated_chances_match_how_often_it_happens() -> None:
    rng = np.random.default_rng(4)
    margins = rng.normal(0, 3, 20_000)
    hostile = rng.random(20_000) < calibration.sigmoid(0.7 * margins - 1.0)
    fitted = calibration.fit(margins, hostile)
    assert fitted.slope == pytest.approx(0.7, abs=0.05)
    assert fitted.offset == pytest.approx(-1.0, abs=0.1)


def test_the_threshold_spares_the_honest() -> None:
    peaks = np.concatenate([np.full(999, 0.2), [0.9]])
    assert calibration.threshold(peaks, 0.001, 0.5) == 0.5
    assert 0.9 < calibration.threshold(peaks, 0.0, 0.5) < 1.0
    assert calibration.threshold(np.empty(0), 0.001, 0.5) == 0.5
