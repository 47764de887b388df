"""Hostile model folders: whatever lies there is a model that fits its card and is signed, or is refused by name."""

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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.models import Card, Model, ModelRefused, Schema
from detectors.models.card import Calibration, Evaluation, Lineage, Reliability
from detectors.models.model import CARD, MODEL, SIGNATURE, load
from detectors.models.signing import Keys

SCHEMA = Schema("access", 1, ("a", "b"))
KEYS, STRANGER = (Keys(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)) for number in (1, 2))
COUNTS = Evaluation(
    attackers=1,
    caught=1,
    honest=1,
    accused=0,
    events_until_caught=1.0,
    events_until_caught_p95=1.0,
    seconds_until_caught=1.0,
    seconds_until_caught_p95=None,
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
    """A card that fits."""
    unsealed = Card(
        schema=SCHEMA,
        sha256=hashlib.sha256(model).hexdigest(),
        threshold=0.5,
        threshold_choice="by hand",
        calibration=Calibration(1.0, 0.0),
        reliability=Reliability(0.0, ()),
        lineage=Lineage(seed=1, simulator="1", libraries={}, parameters={}, rows=2, traffic=()),
        validation=COUNTS,
        test=COUNTS,
        intended_use="tests",
        limits=(),
    )
    return msgspec.json.encode(msgspec.structs.replace(unsealed, **changes).sealed())


def signed(card: bytes, keys: Keys = KEYS) -> bytes:
    return msgspec.json.encode(keys.sign("card", card))


def loaded(folder: Path, card: bytes, model: bytes, signature: bytes | None = None) -> Model | None:
    (folder / CARD).write_bytes(card)
    (folder / MODEL).write_bytes(model)
    (folder / SIGNATURE).write_bytes(signed(card) if signature is None else signature)
    try:
        return load(folder, SCHEMA, KEYS)
    except ModelRefused:
        return None


def test_a_model_that_fits_is_loaded(folder: Path, model: bytes) -> None:
    assert loaded(folder, card(model), model)


@given(data=st.binary(max_size=200))
@example(data=b'{"schema":"\xff"}')
@example(data=b'{"more":' + b"[" * 100_000)
@example(data=b'{"threshold":1e999}')
@example(data=b'{"threshold":' + b"9" * 5000 + b"}")
@example(data=b'{"format":2}')
@example(data=b'{"format":3}')
def test_any_bytes(folder: Path, model: bytes, data: bytes) -> None:
    """Any bytes in place of a card are refused though they be signed; so is a card beside any bytes but its model's."""
    assert loaded(folder, data, model) is None
    assert loaded(folder, card(model), data) is None


@given(data=st.binary(max_size=200))
@example(data=b"")
@example(data=b'{"key":"","signature":""}')
@example(data=b"[" * 100_000)
def test_any_signature(folder: Path, model: bytes, data: bytes) -> None:
    """What is no signature, or a stranger's, vouches for nothing."""
    good = card(model)
    assert loaded(folder, good, model, data) is None
    assert loaded(folder, good, model, signed(good, STRANGER)) is None


@given(at=st.integers(0, 63), bit=st.integers(0, 7))
def test_a_signature_with_one_bit_turned(folder: Path, model: bytes, at: int, bit: int) -> None:
    good = card(model)
    signature = KEYS.sign("card", good)
    turned = bytearray(signature.signature)
    turned[at] ^= 1 << bit
    forged = msgspec.json.encode(msgspec.structs.replace(signature, signature=bytes(turned)))
    assert loaded(folder, good, model, forged) is None


def test_a_signature_for_another_purpose_vouches_for_no_card(folder: Path, model: bytes) -> None:
    good = card(model)
    assert loaded(folder, good, model, msgspec.json.encode(KEYS.sign("history", good))) is None


def test_who_names_a_trusted_key_must_have_it(folder: Path, model: bytes) -> None:
    good = card(model)
    claimed = msgspec.structs.replace(STRANGER.sign("card", good), key=KEYS.own)
    assert loaded(folder, good, model, msgspec.json.encode(claimed)) is None


@given(at=st.integers(0, 2000), damage=st.binary(min_size=1, max_size=8), removed=st.integers(0, 8))
def test_a_good_card_damaged(folder: Path, model: bytes, at: int, damage: bytes, removed: int) -> None:
    """Each byte is covered by the signature."""
    good, at = card(model), at % len(card(model))
    bad = good[:at] + damage + good[at + removed :]
    assert bad == good or loaded(folder, bad, model, signed(good)) is None


@settings(max_examples=40)
@given(
    name=st.sampled_from(["schema", "sha256", "threshold", "calibration", "test", "lineage", "revision", "limits"]),
    data=st.data(),
)
def test_any_part_of_a_card_replaced(folder: Path, model: bytes, name: str, data: st.DataObject) -> None:
    """The revision covers every part, also where whoever replaced it can sign."""
    document = json.loads(card(model))
    value: Any = data.draw(st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.just({}) | st.just([0]))
    if value != document[name]:
        assert loaded(folder, json.dumps(document | {name: value}).encode(), model) is None


def test_a_signed_card_over_what_is_no_model(folder: Path) -> None:
    for model in (b"{", b"{}", b"{L\0\0\0\0\0\0\0\x07learner", b"\0" * 100, b"not a model"):
        assert loaded(folder, card(model), model) is None


def test_a_model_of_other_features_is_refused(folder: Path) -> None:
    """The card may say what it likes: the model must take the features of the schema."""
    xgboost = pytest.importorskip("xgboost", reason="needs xgboost")
    rows = xgboost.DMatrix(np.eye(3), np.array([0.0, 1.0, 0.0]))
    other = bytes(xgboost.train({"nthread": 1, "objective": "binary:logistic"}, rows, 1).save_raw("ubj"))
    assert loaded(folder, card(other), other) is None
