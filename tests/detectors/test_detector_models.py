"""Models: signed, refused by name, reproducible, good on traffic they never saw."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import xgboost

from detectors import ModelRefused, Shelf, held_out, put_defaults
from detectors.models import (
    ACCESS,
    FLOW,
    NAME,
    TASKS,
    DataRefused,
    Schema,
    Task,
    calibration,
    default,
    simulated,
    train,
    wilson,
)
from detectors.models.defaults import TRAINED
from detectors.models.model import CARD, MODEL, SIGNATURE, load, raw, shipped
from detectors.models.signing import Keys
from detectors.simulator import VERSION, flow_traffic, name_traffic
from detectors.simulator.lexicon import sources

PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"
LIBRARIES = {"numpy": np.__version__, "xgboost": xgboost.__version__} | sources()
each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


@pytest.fixture
def copy(models: Path, tmp_path: Path) -> Path:
    """A revision's folder of its own."""
    return shutil.copytree(models / "flow" / Shelf(models).history("flow").in_force, tmp_path / "flow")


@pytest.fixture
def keys(models: Path) -> Keys:
    return Shelf(models).keys


def turn_a_bit(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def test_a_model_with_one_bit_turned_is_refused(copy: Path, keys: Keys) -> None:
    turn_a_bit(copy / MODEL)
    with pytest.raises(ModelRefused, match=rf"{MODEL}: altered"):
        load(copy, FLOW, keys)


def test_a_card_with_another_threshold_is_refused(copy: Path, keys: Keys) -> None:
    card = msgspec.json.decode((copy / CARD).read_bytes())
    (copy / CARD).write_bytes(msgspec.json.encode(card | {"threshold": 1.0}))
    with pytest.raises(ModelRefused, match=rf"{CARD}: altered"):
        load(copy, FLOW, keys)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[1]"])
def test_a_card_that_is_none_is_refused_though_it_is_signed(copy: Path, keys: Keys, body: bytes) -> None:
    (copy / CARD).write_bytes(body)
    (copy / SIGNATURE).write_bytes(msgspec.json.encode(keys.sign("card", body)))
    with pytest.raises(ModelRefused, match="not a model card"):
        load(copy, FLOW, keys)


def test_a_model_of_another_schema_is_refused(copy: Path, keys: Keys) -> None:
    with pytest.raises(ModelRefused, match="another schema: it is flow version 2, and access version 2 is read here"):
        load(copy, ACCESS, keys)
    with pytest.raises(ModelRefused, match="it is flow version 2, and flow version 3 is read here"):
        load(copy, msgspec.structs.replace(FLOW, version=3), keys)
    with pytest.raises(ModelRefused, match="with other features"):
        load(copy, msgspec.structs.replace(FLOW, features=FLOW.features[1:]), keys)


@pytest.mark.parametrize("missing", [MODEL, CARD, SIGNATURE])
def test_a_missing_part_is_refused(copy: Path, keys: Keys, missing: str) -> None:
    (copy / missing).unlink()
    with pytest.raises(ModelRefused, match=missing if missing != SIGNATURE else f"{SIGNATURE}: unsigned"):
        load(copy, FLOW, keys)


def test_a_stranger_vouches_for_nothing(copy: Path) -> None:
    with pytest.raises(ModelRefused, match=rf"{CARD}: signed by key '\w{{16}}', which is not trusted here"):
        load(copy, FLOW, Keys(None))


def test_what_is_there_and_intact_is_kept(models: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*.*")}
    put_defaults(models)
    assert before == {path: path.stat().st_mtime_ns for path in models.rglob("*.*")}


@each_task
def test_a_default_model_fits_this_version(task: Task) -> None:
    card = default(task).card
    assert card.schema == task.schema
    assert (card.lineage.simulator, card.lineage.seed, card.lineage.files) == (VERSION, 1, ())


@each_task
def test_a_damaged_default_model_is_refused(task: Task, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(TRAINED / task.schema.name, tmp_path / "copy"))
    assert shipped(copy, task.schema).card == default(task).card
    turn_a_bit(copy / MODEL)
    with pytest.raises(ModelRefused, match=rf"{MODEL}: altered"):
        shipped(copy, task.schema)


@pytest.mark.prove
@pytest.mark.skipif(not PROVE, reason="trains: PORTCULLIS_PROVE=1")
@each_task
def test_a_default_model_is_what_its_seed_makes(task: Task) -> None:
    card = default(task).card
    if not card.lineage.libraries.items() <= LIBRARIES.items():
        pytest.skip("the default models were made with other versions of libraries")
    again = train(task, card.lineage.seed, simulated(task, card.lineage.seed))
    assert again.card.revision == card.revision


def test_the_same_seed_makes_the_same_model_of_flows() -> None:
    task = replace(TASKS["flow"], simulate=lambda seed: flow_traffic(seed, seconds=120.0, step=1.0, hosts=60))
    shares: list[float] = []
    first, again = (train(task, 1, simulated(task, 1), lambda _, share: shares.append(share)) for _ in range(2))
    assert (raw(again.booster), again.card) == (raw(first.booster), first.card)
    half = len(shares) // 2
    assert shares[:half] == shares[half:] == sorted(shares[:half])


def test_the_same_seed_makes_the_same_model_of_names() -> None:
    task = replace(TASKS["name"], simulate=lambda seed: name_traffic(seed, 60.0, families=8))
    first, again = (train(task, 1, simulated(task, 1)) for _ in range(2))
    assert (raw(again.booster), again.card) == (raw(first.booster), first.card)
    other = train(task, 2, simulated(task, 2))
    assert other.card.revision != first.card.revision


def test_names_without_families_teach_nothing() -> None:
    task = replace(TASKS["name"], simulate=lambda seed: name_traffic(seed, 60.0, families=1))
    with pytest.raises(DataRefused, match="1 addresses with hostile ones"):
        train(task, 1, simulated(task, 1))


def test_machines_that_look_for_their_master_are_told_from_others(models: Path) -> None:
    result = held_out(Shelf(models).in_force(NAME), 77)
    assert result.true_positive_rate >= 0.85  # some families make names of words, and half of those are there
    assert result.false_positive_rate <= 0.005


def test_a_card_tells_where_a_model_comes_from_and_how_far_to_believe_it(models: Path) -> None:
    card = Shelf(models).in_force(ACCESS).card
    parts = card.lineage.traffic
    assert [part.part for part in parts] == ["training", "validation", "test"]
    assert len({part.sha256 for part in parts}) == 3
    assert all(0 < part.hostile < part.events for part in parts)
    assert set(card.lineage.libraries) == {"numpy", "xgboost"}
    assert sum(one.rows for one in card.reliability.bins) > 10_000
    assert 0 < card.reliability.error < 0.02
    assert f"{card.validation.honest} honest" in card.threshold_choice
    assert card.intended_use
    assert card.limits


@pytest.mark.parametrize(("schema", "events"), [(ACCESS, 12), (FLOW, 18)], ids=["access", "flow"])
def test_friend_is_told_from_foe_on_traffic_never_seen(models: Path, schema: Schema, events: int) -> None:
    result = held_out(Shelf(models).in_force(schema), 77)
    assert result.true_positive_rate >= 0.98
    assert result.false_positive_rate <= 0.005
    assert (result.events_until_caught or 99) <= events


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


def test_an_interval_holds_the_share_and_narrows() -> None:
    assert wilson(30, 30) == pytest.approx((0.8865, 1.0), abs=1e-4)
    assert wilson(0, 420) == pytest.approx((0.0, 0.00906), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(500, 1000)
    assert 0.46 < low < 0.5 < high < 0.54


def test_reliability_is_the_distance_from_what_happens() -> None:
    chances = np.array([0.05, 0.05, 0.95, 1.0])
    assert calibration.reliability(chances, np.array([False, False, True, True])).error == pytest.approx(0.0375)
    off = calibration.reliability(chances, np.array([True, False, True, False]))
    assert off.error == pytest.approx((2 * 0.45 + 2 * 0.475) / 4)
    assert [(one.rows, one.hostile) for one in off.bins] == [(2, 0.5), (2, 0.5)]
    assert calibration.reliability(np.empty(0), np.empty(0, np.bool_)).error == 0
